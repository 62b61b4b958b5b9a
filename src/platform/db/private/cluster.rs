//! The cluster: made once, complete or not at all.
//!
//! `initdb` writes `PG_VERSION` early, so a kill half-way leaves what looks like a cluster. Ours is
//! made under the name `postgres.partial` and renamed when it is complete and on disk: the name is
//! the marker. A directory named `postgres` is data, and nothing here ever removes it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::{IoContext, PrivateError};
use super::find::Binaries;
use super::identity::{Identity, OnOurDeath};
use super::layout::{Layout, sync_parent, write_whole};
use super::{leftovers, tune};

/// Both the role (a superuser, of a database nobody else uses) and its database.
pub(super) const NAME: &str = "stockhold";

/// No other way in than a password over the socket. `replication` lets backup tools in.
const HBA: &str = "# Written by stockhold at every start.\n\
                   local all all scram-sha-256\n\
                   local replication all scram-sha-256\n";

/// Makes the cluster if there is none, brings its settings up to date, and returns the password.
pub(super) fn ensure(
    layout: &Layout,
    binaries: &Binaries,
    identity: &Identity,
    conf: &str,
) -> Result<String, PrivateError> {
    write_whole(&layout.conf, conf, 0o644)?;
    write_whole(&layout.hba, HBA, 0o644)?;
    leftovers::clear(&layout.partial, None)?;
    if layout.partial.exists() {
        tracing::warn!(dir = %layout.partial.display(), "removing a half-made cluster");
        fs::remove_dir_all(&layout.partial).doing("remove", &layout.partial)?;
    }
    if layout.cluster.exists() {
        identity.own(&layout.cluster)?;
        leftovers::clear(&layout.cluster, Some(&layout.run))?;
        return match read_password(layout)? {
            Some(password) => Ok(password),
            None => reset_password(layout, binaries, identity),
        };
    }
    create(layout, binaries, identity)
}

fn create(layout: &Layout, binaries: &Binaries, identity: &Identity) -> Result<String, PrivateError> {
    tracing::info!(dir = %layout.cluster.display(), version = binaries.major, "creating a PostgreSQL cluster");
    // Kept from a try that was cut short, or new; on disk before a cluster depends on it.
    let password = match read_password(layout)? {
        Some(password) => password,
        None => {
            let password = new_password();
            write_whole(&layout.password, &password, 0o600)?;
            password
        }
    };
    let partial = &layout.partial;
    fs::DirBuilder::new().create(partial).doing("create", partial)?;
    fs::set_permissions(partial, std::os::unix::fs::PermissionsExt::from_mode(0o700)).doing("close", partial)?;
    identity.own(partial)?;

    let pwfile = hand_over_password(layout, identity, &password)?;
    let mut initdb = identity.command(&binaries.initdb(), &layout.run, OnOurDeath::Kill);
    initdb
        .args(["--encoding=UTF8", "--no-locale", "--data-checksums", "--no-instructions"])
        .args(["--auth-local=scram-sha-256", "--auth-host=reject"])
        .arg(format!("--username={NAME}"))
        .arg(join("--pwfile=", &pwfile))
        .arg(join("--pgdata=", partial));
    let made = run_tool(initdb, "initdb", "");
    fs::remove_file(&pwfile).doing("remove", &pwfile)?;
    made?;

    single_user(layout, binaries, identity, partial, &format!("CREATE DATABASE {NAME}\n"))?;
    fs::rename(partial, &layout.cluster).doing("complete", &layout.cluster)?;
    sync_parent(&layout.cluster)?;
    Ok(password)
}

fn new_password() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

pub(super) fn read_password(layout: &Layout) -> Result<Option<String>, PrivateError> {
    match fs::read_to_string(&layout.password) {
        Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        Ok(_) => Ok(None),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause).doing("read", &layout.password),
    }
}

/// A cluster without its password file (a backup often leaves it out) gets a new password. The role
/// is changed first, so that a cut between the two only makes the next start do it again.
fn reset_password(layout: &Layout, binaries: &Binaries, identity: &Identity) -> Result<String, PrivateError> {
    tracing::warn!("the password file is missing: giving the role a new password");
    let password = new_password();
    let sql = format!("ALTER ROLE {NAME} PASSWORD '{password}'\n");
    single_user(layout, binaries, identity, &layout.cluster, &sql)?;
    write_whole(&layout.password, &password, 0o600)?;
    Ok(password)
}

/// `initdb` takes the password from a file that it can read, which ours may not be.
fn hand_over_password(
    layout: &Layout,
    identity: &Identity,
    password: &str,
) -> Result<std::path::PathBuf, PrivateError> {
    let path = layout.run.join("initdb-password");
    let write = || -> std::io::Result<()> {
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        // create_new: the directory may be another user's, and a link in it is not followed.
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(password.as_bytes())
    };
    write().doing("write", &path)?;
    identity.own(&path)?;
    Ok(path)
}

/// Runs SQL on a cluster that is not started: no connection, so no password and no client.
fn single_user(
    layout: &Layout,
    binaries: &Binaries,
    identity: &Identity,
    cluster: &Path,
    sql: &str,
) -> Result<(), PrivateError> {
    let mut postgres = identity.command(&binaries.postgres(), &layout.run, OnOurDeath::Kill);
    postgres
        .args(["--single", "-c", "exit_on_error=on", "-c", "log_checkpoints=off", "-D"])
        .arg(cluster)
        .arg("postgres");
    run_tool(postgres, "postgres --single", sql)
}

fn run_tool(mut command: std::process::Command, tool: &'static str, input: &str) -> Result<(), PrivateError> {
    let failed = |output: String| PrivateError::Tool { tool, output };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|cause| failed(cause.to_string()))?;
    // The input is far smaller than a pipe holds, so this cannot block; a tool that ended before
    // reading it says so in its output.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|cause| failed(cause.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    Err(failed(super::packages::last_words(&said)))
}

fn join(option: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(option);
    argument.push(path);
    argument
}

/// What `ensure` writes to `stockhold.conf`.
pub(super) fn conf(memory_bytes: Option<u64>, max_connections: u32) -> String {
    tune::conf(memory_bytes.unwrap_or_else(tune::memory_bytes), max_connections)
}
