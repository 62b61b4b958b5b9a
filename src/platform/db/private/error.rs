//! What can go wrong, each with what to do about it.
//!
//! These messages are read by the person who just typed the start command, often with no knowledge
//! of Postgres, so each ends in a step they can take. A cause stays in `source()`.

use std::io;
use std::path::PathBuf;

/// Why the private Postgres could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    #[error(
        "no PostgreSQL {wanted} was found on this machine ({seen}). Start again with \
         --install-postgres (or STOCKHOLD_INSTALL_POSTGRES=1) to have it installed, or install it \
         yourself: {command}; a copy in an unusual place is named with --postgres-bin-dir"
    )]
    NotFound { wanted: String, seen: String, command: String },

    #[error(
        "--postgres-bin-dir names {}, which has no {missing} that runs: name the directory that \
         holds both `postgres` and `initdb`, or leave the option out to search the usual places",
        dir.display()
    )]
    BinDir { dir: PathBuf, missing: &'static str },

    #[error(
        "the data in {} was written by PostgreSQL {needed}, and only a PostgreSQL {needed} can open \
         it; found here: {found}. Install that version ({command}), start again with \
         --install-postgres, or move the data over with pg_dump and pg_restore",
        cluster.display()
    )]
    WrongMajor { cluster: PathBuf, needed: u32, found: String, command: String },

    #[error("PostgreSQL could not be installed ({tried}). Install it yourself and start again: {command}")]
    Install { tried: String, command: String },

    #[error(
        "the data directory {} cannot be written: name one that can with --data-dir \
         (STOCKHOLD_DATA_DIR), or give this user the right to write there",
        path.display()
    )]
    NotWritable { path: PathBuf, source: io::Error },

    #[error(
        "the data directory {} is in use by another stockhold process ({holder}): stop that one \
         first, or start this one with another --data-dir",
        path.display()
    )]
    InUse { path: PathBuf, holder: String },

    #[error(
        "{} belongs to the user with id {owner}, as when the server last ran as another user: run \
         it as that user or as root, or hand the files over with `chown -R`",
        path.display()
    )]
    ForeignOwner { path: PathBuf, owner: u32 },

    #[error(
        "{} exists, but is not a PostgreSQL data directory: move it away, or name another --data-dir",
        path.display()
    )]
    NotACluster { path: PathBuf },

    #[error(
        "PostgreSQL refuses to run as root, and no other identity can work in {} ({tried}): start \
         the server as an ordinary user, or with a --data-dir that other users can pass through, \
         such as /var/lib/stockhold",
        path.display()
    )]
    NoIdentity { path: PathBuf, tried: String },

    #[error(
        "no directory is fit for PostgreSQL's socket ({tried}): a socket's whole path is at most \
         {limit} bytes, so use a shorter --data-dir"
    )]
    SocketDir { limit: usize, tried: String },

    #[error(
        "{tool} failed: {output}. Mend what it names (a full disk, most often) and start again: a \
         half-made data directory is redone"
    )]
    Tool { tool: &'static str, output: String },

    #[error(
        "PostgreSQL stopped while starting ({status}); it said: {said}. Mend what it names and \
         start again; the whole log is in {}",
        log.display()
    )]
    Start { status: String, said: String, log: PathBuf },

    #[error(
        "a PostgreSQL process (pid {pid}) left over on {} does not stop: end it by hand \
         (`kill -QUIT {pid}`) and start again",
        cluster.display()
    )]
    Leftover { cluster: PathBuf, pid: i32 },

    #[error("could not {doing} {}: see to the cause below and start again", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },

    #[error("the private PostgreSQL was told to stop while it was starting: start the server again")]
    Stopped,
}

/// Turns an I/O error into one that says which file and what was being done to it.
pub(super) trait IoContext<T> {
    fn doing(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, PrivateError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn doing(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, PrivateError> {
        self.map_err(|source| PrivateError::Io { doing, path: path.into(), source: source.into() })
    }
}
