//! `postgres.log`, bounded.
//!
//! Postgres writes to a pipe and a thread of ours to the file: its own logging collector rotates by
//! size but never deletes, and could fill the disk in an error storm. The end of the log is kept in
//! memory too, so that a failed start can be explained at once.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Two files of this size at most: the current one and the one before.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
const TAIL_BYTES: usize = 2048;

#[derive(Debug, Clone)]
pub(super) struct Log {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    limit: u64,
    file: Option<File>,
    written: u64,
    tail: Vec<u8>,
}

impl Log {
    pub fn new(path: PathBuf) -> Log {
        Log::with_limit(path, FILE_BYTES)
    }

    fn with_limit(path: PathBuf, limit: u64) -> Log {
        let inner = Inner { path, limit, file: None, written: 0, tail: Vec::new() };
        Log { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Copies what comes from `source` until all that hold its other end are gone.
    ///
    /// The thread must never stop early: Postgres would wait for ever on a full pipe.
    pub fn follow(&self, mut source: impl Read + Send + 'static) -> std::io::Result<()> {
        let log = self.clone();
        log.lock().tail.clear();
        let copy = move || {
            let mut chunk = vec![0; 16 * 1024];
            loop {
                match source.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(length) => log.lock().append(&chunk[..length]),
                    Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        };
        thread::Builder::new().name("postgres-log".into()).spawn(copy).map(drop)
    }

    /// The last lines, on one.
    pub fn tail(&self) -> String {
        let inner = self.lock();
        let text = String::from_utf8_lossy(&inner.tail);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(6)..];
        if last.is_empty() { "nothing".into() } else { last.join(" | ") }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Text has no invariant that a panic could break.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A log that cannot be written (a full disk) is no reason to stop a database that can.
    fn append(&mut self, chunk: &[u8]) {
        self.tail.extend_from_slice(chunk);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        if self.file.is_some() && self.written + chunk.len() as u64 > self.limit {
            self.file = None;
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            let _ = fs::rename(&self.path, old);
        }
        if self.file.is_none() {
            self.file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path).ok();
            let length = self.file.as_ref().and_then(|file| file.metadata().ok()).map(|it| it.len());
            self.written = length.unwrap_or(0);
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(chunk);
            self.written += chunk.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bounded_files_and_a_tail() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres.log");
        let log = Log::with_limit(path.clone(), 1000);
        for number in 0..100 {
            log.lock().append(format!("line {number:03} {}\n", "x".repeat(50)).as_bytes());
        }
        let sizes: Vec<u64> =
            fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
        assert!(log.tail().contains("line 099"));
        assert!(fs::read_to_string(path).unwrap().ends_with(&format!("line 099 {}\n", "x".repeat(50))));
    }
}
