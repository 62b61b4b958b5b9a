//! What lies where in the data directory, and the lock that gives it to one process.
//!
//! ```text
//! stockhold.lock     held by the server that uses this directory
//! postgres/          the cluster, complete from the moment it bears this name
//! postgres.partial/  a cluster being made: removed at every start
//! postgres-password  the password of the role `stockhold`, for this user alone
//! stockhold.conf     settings, rewritten at every start; stockhold-hba.conf: who may connect
//! postgres.log       what Postgres says; the one before it is postgres.log.1
//! postgres-builds/   builds that --install-postgres unpacked
//! run/               the socket, and scratch space that Postgres may read
//! ```
//!
//! `postgres/` and `run/` belong to the user that Postgres runs as. When that is not our own, we are
//! root, and write nothing in there: a link planted in it would lead root's pen anywhere.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::error::{IoContext, PrivateError};

/// The number in the socket's name. Nothing listens on a network, so it can clash with nothing.
pub(super) const PORT: u16 = 5432;

/// The longest path the kernel takes for a socket.
const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The lock outlives a killed server for as long as the kernel takes to clean up after it.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Layout {
    pub root: PathBuf,
    pub cluster: PathBuf,
    pub partial: PathBuf,
    pub password: PathBuf,
    pub conf: PathBuf,
    pub hba: PathBuf,
    pub log: PathBuf,
    pub run: PathBuf,
}

impl Layout {
    /// Creates the data directory if need be and returns its layout with links resolved.
    pub fn create(data_dir: &Path) -> Result<Layout, PrivateError> {
        let refused = |source| PrivateError::NotWritable { path: data_dir.to_owned(), source };
        if !data_dir.exists() {
            fs::create_dir_all(data_dir).map_err(refused)?;
            // Under root the cluster belongs to another user, who must be able to pass through;
            // what else lies here is closed by its own mode.
            let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
            fs::set_permissions(data_dir, Permissions::from_mode(mode)).map_err(refused)?;
        }
        let root = fs::canonicalize(data_dir).map_err(refused)?;
        Ok(Layout {
            cluster: cluster(&root),
            partial: root.join("postgres.partial"),
            password: root.join("postgres-password"),
            conf: root.join("stockhold.conf"),
            hba: root.join("stockhold-hba.conf"),
            log: root.join("postgres.log"),
            run: root.join("run"),
            root,
        })
    }

    /// The major version of the cluster that is here already.
    pub fn cluster_major(&self) -> Result<Option<u32>, PrivateError> {
        if !self.cluster.exists() {
            return Ok(None);
        }
        let version = fs::read_to_string(self.cluster.join("PG_VERSION"));
        match version.map(|text| text.trim().parse()) {
            Ok(Ok(major)) => Ok(Some(major)),
            Err(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
                let owner = fs::metadata(&self.cluster).doing("look at", &self.cluster)?.uid();
                Err(PrivateError::ForeignOwner { path: self.cluster.clone(), owner })
            }
            _ => Err(PrivateError::NotACluster { path: self.cluster.clone() }),
        }
    }

    /// Where the socket goes: `run/`, or a short directory of our own where that path is too long.
    ///
    /// The short one is named after the data directory, so the next start finds and cleans it.
    pub fn socket_dir(&self) -> Result<PathBuf, PrivateError> {
        let fits = |dir: &Path| socket_path(dir).as_os_str().len() <= SOCKET_PATH_LIMIT;
        if fits(&self.run) {
            return Ok(self.run.clone());
        }
        let digest = Sha256::digest(self.root.as_os_str().as_bytes());
        let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("stockhold-{name}");
        let mut tried = vec![format!("{} is too long", self.run.display())];
        let own = if rustix::process::geteuid().is_root() {
            Some(PathBuf::from("/run"))
        } else {
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
        };
        for base in own.into_iter().chain(["/tmp".into()]) {
            let dir = base.join(&name);
            match private_dir(&dir) {
                Ok(()) if fits(&dir) => return Ok(dir),
                Ok(()) => tried.push(format!("{} is too long", dir.display())),
                Err(why) => tried.push(format!("{}: {why}", dir.display())),
            }
        }
        Err(PrivateError::SocketDir { limit: SOCKET_PATH_LIMIT, tried: tried.join("; ") })
    }
}

pub(super) fn cluster(root: &Path) -> PathBuf {
    root.join("postgres")
}

pub(super) fn socket_path(dir: &Path) -> PathBuf {
    dir.join(format!(".s.PGSQL.{PORT}"))
}

/// Makes sure that `dir` is a directory which only we made: in /tmp anyone could have been first.
pub(super) fn private_dir(dir: &Path) -> Result<(), String> {
    let Err(cause) = DirBuilder::new().mode(0o700).create(dir) else {
        return Ok(());
    };
    let Ok(found) = fs::symlink_metadata(dir) else {
        return Err(cause.to_string());
    };
    let me = rustix::process::geteuid();
    if !found.is_dir() {
        return Err("it is not a directory".into());
    }
    // Root hands the directory to the user that Postgres runs as, and may take it back.
    if found.uid() != me.as_raw() && !(me.is_root() && found.mode() & 0o077 == 0) {
        return Err(format!("it belongs to the user with id {}", found.uid()));
    }
    Ok(())
}

/// The data directory is ours for as long as this lives; the kernel ends it with the process, so
/// no stale lock can bar a start.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub fn take(root: &Path) -> Result<Lock, PrivateError> {
        let path = root.join("stockhold.lock");
        let refused = |source| PrivateError::NotWritable { path: root.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(refused)?;
        let begun = Instant::now();
        while let Err(cause) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if cause != rustix::io::Errno::WOULDBLOCK && cause != rustix::io::Errno::INTR {
                return Err(cause).doing("lock", path);
            }
            if begun.elapsed() > LOCK_PATIENCE {
                let mut pid = String::new();
                // Only to name the holder; the answer stands without it.
                let _ = file.read_to_string(&mut pid);
                let holder = match pid.trim() {
                    "" => "pid unknown".to_owned(),
                    pid => format!("pid {pid}"),
                };
                return Err(PrivateError::InUse { path: root.to_owned(), holder });
            }
            #[allow(clippy::disallowed_methods)] // on the supervisor's own thread
            thread::sleep(Duration::from_millis(25));
        }
        file.set_len(0).map_err(refused)?;
        file.rewind().map_err(refused)?;
        writeln!(file, "{}", std::process::id()).map_err(refused)?;
        Ok(Lock { _file: file })
    }
}

/// Writes a file so that a crash leaves the old content or the new, never a part.
pub(super) fn write_whole(path: &Path, content: &str, mode: u32) -> Result<(), PrivateError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().doing("write", path)?;
    sync_parent(path)
}

/// A rename is durable once its directory is.
pub(super) fn sync_parent(path: &Path) -> Result<(), PrivateError> {
    let parent = path.parent().expect("every path in the layout has a parent");
    File::open(parent).and_then(|dir| dir.sync_all()).doing("write", parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_data_directory_gets_a_short_socket_directory_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let near = Layout::create(&dir.path().join("near")).unwrap();
        assert_eq!(near.socket_dir().unwrap(), near.run);
        let far = Layout::create(&dir.path().join("x".repeat(110))).unwrap();
        let short = far.socket_dir().unwrap();
        assert!(socket_path(&short).as_os_str().len() <= SOCKET_PATH_LIMIT);
        assert_eq!(far.socket_dir().unwrap(), short, "the same at every start");
        fs::remove_dir(short).unwrap();
    }

    #[test]
    fn a_link_in_place_of_a_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(private_dir(&link).is_err());
    }
}
