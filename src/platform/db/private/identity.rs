//! As whom Postgres runs.
//!
//! It refuses root. A server that runs as root therefore hands the cluster to the account
//! `postgres`, else `nobody`. Where a parent of the data directory is closed to that account (a
//! data directory under /root), Postgres keeps root's user id outside and gets a plain one inside a
//! user namespace of its own: the files stay root's, and nothing above them needs opening.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[cfg(target_os = "linux")]
use rustix::process::{Pid, Signal};

use super::error::{IoContext, PrivateError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// The server's own user.
    Same,
    Account(Account),
    /// Root outside, this account inside a user namespace. Linux alone has it.
    #[cfg(target_os = "linux")]
    Mapped(Account),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

/// What becomes of a child when the server dies without stopping it (kill -9).
///
/// The kernel sends the signal when the *thread* that spawned the child ends, so children are
/// spawned from the supervising thread, which lives as long as the server.
#[derive(Debug, Clone, Copy)]
pub(super) enum OnOurDeath {
    /// Postgres' immediate shutdown: nothing committed is lost, the log is replayed next time.
    Quit,
    /// For tools, whose work is redone.
    Kill,
}

impl Identity {
    /// The identity that can work in `dir`, which root hands over on the way.
    pub fn choose(dir: &Path, postgres: &Path) -> Result<Identity, PrivateError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Identity::Same);
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account = find_account(&accounts, "postgres").or_else(|| find_account(&accounts, "nobody"));
        let mut tried = Vec::new();
        for identity in Identity::for_root(account) {
            match identity.try_in(dir, postgres) {
                Ok(()) => return Ok(identity),
                Err(why) => tried.push(format!("{identity}: {why}")),
            }
        }
        Err(PrivateError::NoIdentity { path: dir.to_owned(), tried: tried.join("; ") })
    }

    fn for_root(account: Option<Account>) -> Vec<Identity> {
        // Tools look their own user up, so the id inside the namespace is one with a name, where
        // there is any.
        #[cfg(target_os = "linux")]
        let mapped = account.clone().unwrap_or(Account { name: "nameless".into(), uid: 1000, gid: 1000 });
        [
            account.map(Identity::Account),
            #[cfg(target_os = "linux")]
            Some(Identity::Mapped(mapped)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether a program of this identity can enter `dir` and run.
    fn try_in(&self, dir: &Path, postgres: &Path) -> Result<(), String> {
        self.own(dir).map_err(|cause| cause.to_string())?;
        let mut command = self.command(postgres, dir, OnOurDeath::Kill);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(cause) => Err(cause.to_string()),
        }
    }

    /// A command that runs as this identity, in `dir`, in a process group of its own (so that ^C in
    /// a terminal reaches the server alone, which then stops Postgres in order).
    ///
    /// Of the environment only what finding libraries takes is passed on: PG* variables would
    /// change what Postgres does, and the server's own may hold secrets.
    pub fn command(&self, program: &Path, dir: &Path, on_our_death: OnOurDeath) -> Command {
        const KEPT: [&str; 5] =
            ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .current_dir(dir)
            .process_group(0);
        if let Identity::Account(account) = self {
            command.uid(account.uid).gid(account.gid);
        }
        self.prepare(&mut command, on_our_death);
        command
    }

    #[cfg(target_os = "linux")]
    fn prepare(&self, command: &mut Command, on_our_death: OnOurDeath) {
        let maps = match self {
            Identity::Mapped(account) => Some((format!("{} 0 1", account.uid), format!("{} 0 1", account.gid))),
            _ => None,
        };
        let signal = match on_our_death {
            OnOurDeath::Quit => Signal::QUIT,
            OnOurDeath::Kill => Signal::KILL,
        };
        let server = rustix::process::getpid();
        // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are
        // allowed: it makes plain system calls on values made before the fork and allocates nothing.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(move || {
                if let Some((uid_map, gid_map)) = &maps {
                    in_child::enter_user_namespace(uid_map, gid_map)?;
                }
                in_child::die_with(server, signal)
            });
        }
    }

    /// Elsewhere a killed server leaves Postgres behind, and the next start stops it.
    #[cfg(not(target_os = "linux"))]
    fn prepare(&self, _command: &mut Command, _on_our_death: OnOurDeath) {}

    /// Makes this identity the owner of `path` and all below, closed to others. A no-op where it
    /// is that already: only a change of user walks the whole tree.
    pub fn own(&self, path: &Path) -> Result<(), PrivateError> {
        let (uid, gid) = match self {
            Identity::Same => {
                let owner = fs::metadata(path).doing("look at", path)?.uid();
                if owner != rustix::process::geteuid().as_raw() {
                    return Err(PrivateError::ForeignOwner { path: path.to_owned(), owner });
                }
                return Ok(());
            }
            Identity::Account(account) => (account.uid, account.gid),
            #[cfg(target_os = "linux")]
            Identity::Mapped(_) => (0, 0),
        };
        let found = fs::symlink_metadata(path).doing("look at", path)?;
        if (found.uid(), found.gid()) == (uid, gid) {
            return Ok(());
        }
        give(path, uid, gid).map_err(|(path, cause)| PrivateError::Io { doing: "hand over", path, source: cause })
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::Same => f.write_str("this user"),
            Identity::Account(account) => write!(f, "the account {}", account.name),
            #[cfg(target_os = "linux")]
            Identity::Mapped(_) => f.write_str("a user namespace"),
        }
    }
}

#[cfg(target_os = "linux")]
mod in_child {
    use super::*;
    use rustix::fs::{CWD, Mode, OFlags};
    use rustix::thread::UnshareFlags;

    pub(super) fn enter_user_namespace(uid_map: &str, gid_map: &str) -> io::Result<()> {
        // SAFETY: without CLONE_FILES or CLONE_VM no resource that Rust code relies on is unshared.
        #[allow(unsafe_code)]
        unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER)?
        };
        write(c"/proc/self/setgroups", "deny")?;
        write(c"/proc/self/uid_map", uid_map)?;
        write(c"/proc/self/gid_map", gid_map)
    }

    fn write(path: &std::ffi::CStr, content: &str) -> io::Result<()> {
        let file = rustix::fs::openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, content.as_bytes())?;
        Ok(())
    }

    /// Comes last: a change of user id or namespace clears it. The server may have died before the
    /// request was made, and then nobody would send the signal.
    pub(super) fn die_with(server: Pid, signal: Signal) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        if rustix::process::getppid() != Some(server) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        Ok(())
    }
}

fn find_account(passwd: &str, name: &str) -> Option<Account> {
    let mut fields = passwd
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name: name.to_owned(), uid, gid })
}

/// Children first, so that a walk cut short leaves the top with its old owner and is done again.
fn give(path: &Path, uid: u32, gid: u32) -> Result<(), (PathBuf, io::Error)> {
    let at = |cause| (path.to_owned(), cause);
    if fs::symlink_metadata(path).map_err(at)?.is_dir() {
        for entry in fs::read_dir(path).map_err(at)? {
            give(&entry.map_err(at)?.path(), uid, gid)?;
        }
    }
    lchown(path, Some(uid), Some(gid)).map_err(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_passwd() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:PostgreSQL:/var/lib:/bin/sh\n";
        let account = find_account(passwd, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        assert_eq!(find_account(passwd, "nobody"), None);
    }
}
