//! A Postgres of the server's own, so that one binary is all there is to run.
//!
//! `PrivatePostgres::start` finds the binaries (or installs them, by consent), makes the cluster on
//! the first run, starts it on a Unix socket alone and keeps it running:
//!
//! - **Invariant:** one process owns a data directory, by a lock that the kernel releases with it.
//! - **Invariant:** Postgres never outlives the server (Linux), and no Postgres is started while
//!   another is at work on the cluster.
//! - **Invariant:** `fsync`, `full_page_writes` and `synchronous_commit` are on; kill -9 of either
//!   process or both loses nothing that was committed.
//! - **Invariant:** a cluster is complete or absent, and a complete one is never removed.
//! - **Invariant:** socket, port, role and password stay the same while the server runs, so a
//!   connection pool survives a restart of Postgres by reconnecting.

mod builds;
mod cluster;
mod error;
mod find;
mod identity;
mod install;
mod layout;
mod leftovers;
mod log;
mod packages;
mod process;
mod supervise;
mod tune;
pub(crate) mod unpack;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::oneshot;

use error::IoContext;
pub use error::PrivateError;
use supervise::Shared;

/// How long each way of stopping may take before the next, rougher one: fast shutdown (ends
/// sessions and writes a checkpoint), immediate shutdown (the log is replayed at the next start),
/// kill.
const STOPS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(30)),
    (Signal::QUIT, Duration::from_secs(10)),
    (Signal::KILL, Duration::from_secs(20)),
];

/// How to run the private Postgres.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's data directory; the cluster is `postgres` in it.
    pub data_dir: PathBuf,
    /// `--postgres-bin-dir`, `STOCKHOLD_POSTGRES_BIN_DIR`: where `postgres` and `initdb` are.
    pub bin_dir: Option<PathBuf>,
    /// `STOCKHOLD_POSTGRES_SEARCH_PATH`: directories, separated by colons, in which to look for
    /// Postgres instead of the usual places (PATH and the package managers' directories).
    pub search_path: Option<OsString>,
    /// `--install-postgres`, `STOCKHOLD_INSTALL_POSTGRES`: consent to install Postgres where none is
    /// found. Does nothing where one is.
    pub install: bool,
    /// `STOCKHOLD_POSTGRES_BUILDS_DIR`: where an unpacked build is kept, if not in the data
    /// directory. Several data directories may share it.
    pub builds_dir: Option<PathBuf>,
    pub max_connections: u32,
    /// The memory to size Postgres for, if not the machine's or the container's.
    pub memory_bytes: Option<u64>,
}

impl Options {
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        Options {
            data_dir: data_dir.into(),
            bin_dir: None,
            search_path: None,
            install: false,
            builds_dir: None,
            max_connections: 50,
            memory_bytes: None,
        }
    }

    /// The same, with what the environment says.
    pub fn from_env(data_dir: impl Into<PathBuf>) -> Options {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let consent = std::env::var("STOCKHOLD_INSTALL_POSTGRES").unwrap_or_default();
        Options {
            bin_dir: path("STOCKHOLD_POSTGRES_BIN_DIR").map(PathBuf::from),
            search_path: path("STOCKHOLD_POSTGRES_SEARCH_PATH"),
            install: matches!(consent.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"),
            builds_dir: path("STOCKHOLD_POSTGRES_BUILDS_DIR").map(PathBuf::from),
            ..Options::new(data_dir)
        }
    }

    fn builds_dir(&self) -> PathBuf {
        // The data directory, because it is the one place that is certainly writable, lasts as long
        // as the cluster that needs the build, and lies on the volume of a container.
        self.builds_dir.clone().unwrap_or_else(|| self.data_dir.join("postgres-builds"))
    }
}

/// How to connect. The same for as long as the `PrivatePostgres` lives.
#[derive(Clone)]
pub struct Connection {
    pub socket_dir: PathBuf,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Connection {
    /// The way to a Postgres that another process started in this data directory; `None` when no socket
    /// of one is there.
    pub fn to_running(data_dir: &Path) -> Result<Option<Connection>, PrivateError> {
        if !data_dir.exists() {
            return Ok(None);
        }
        let layout = layout::Layout::create(data_dir)?;
        let socket_dir = layout.socket_dir()?;
        let password = cluster::read_password(&layout)?;
        let there = layout::socket_path(&socket_dir).exists();
        Ok(password.filter(|_| there).map(|password| Connection::new(socket_dir, password)))
    }

    fn new(socket_dir: PathBuf, password: String) -> Connection {
        let name = || cluster::NAME.to_owned();
        Connection { socket_dir, port: layout::PORT, user: name(), password, database: name() }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("socket_dir", &self.socket_dir)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// A running Postgres and the thread that keeps it running.
#[derive(Debug)]
pub struct PrivatePostgres {
    shared: StopOnDrop,
    connection: Connection,
}

impl PrivatePostgres {
    /// Starts Postgres and returns once it takes connections. Dropping the future stops it again.
    pub async fn start(options: Options) -> Result<PrivatePostgres, PrivateError> {
        let shared = StopOnDrop(Shared::new());
        let (report, outcome) = oneshot::channel();
        let theirs = Arc::clone(&shared.0);
        std::thread::Builder::new()
            .name("postgres-supervisor".into())
            .spawn(move || supervise::run(&options, &theirs, report))
            .doing("start a thread for", "postgres")?;
        let connection = outcome.await.map_err(|_| PrivateError::Stopped)??;
        Ok(PrivatePostgres { shared, connection })
    }

    /// Has one ever been made in this data directory?
    pub fn exists(data_dir: &Path) -> bool {
        layout::cluster(data_dir).exists()
    }

    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// The postmaster's process id, unless it is down at the moment.
    pub fn pid(&self) -> Option<u32> {
        self.shared.0.status().borrow().pid
    }

    /// Waits until Postgres next ends without being told to, and says how. It is started again by
    /// itself; `ready` tells when.
    pub async fn exited(&self) -> String {
        let mut status = self.shared.0.status();
        let before = status.borrow().exits;
        match status.wait_for(|it| it.exits > before || it.done).await {
            Ok(status) if status.exits > before => status.last_exit.clone(),
            _ => "stopped".into(),
        }
    }

    /// Waits until Postgres takes connections: at once, unless it has just ended unexpectedly.
    /// `false` means that it never will again.
    pub async fn ready(&self) -> bool {
        let mut status = self.shared.0.status();
        let reached = status.wait_for(|it| it.ready || it.done).await;
        reached.is_ok_and(|status| status.ready)
    }

    /// Stops Postgres in order and gives up the data directory. Close the connections first: what is
    /// still open is cut off.
    pub async fn stop(self) {
        let mut status = self.shared.0.status();
        for (signal, patience) in STOPS {
            self.shared.0.stop(signal);
            let done = status.wait_for(|it| it.done);
            if tokio::time::timeout(patience, done).await.is_ok() {
                return;
            }
            tracing::warn!(?signal, "PostgreSQL takes long to stop");
        }
    }
}

/// Whoever drops the future of `start`, or the `PrivatePostgres`, wants no Postgres.
#[derive(Debug)]
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(Signal::INT);
    }
}
