//! What an earlier server left running on our data directory.
//!
//! Called with the lock held, so any Postgres at work in there has no server any more. Its pid file
//! is no judge of that: a process table may still list a dead postmaster, or another process under
//! its number. It is removed only once no process is left, for two postmasters on one cluster would
//! destroy it.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::{IoContext, PrivateError};
use super::layout::socket_path;

/// Time for an immediate shutdown, then for SIGKILL.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Stops every Postgres process of `cluster`, then removes the files that would bar a start.
pub(super) fn clear(cluster: &Path, socket_dir: Option<&Path>) -> Result<(), PrivateError> {
    stop_all(cluster)?;
    remove(&cluster.join("postmaster.pid"))?;
    if let Some(dir) = socket_dir {
        let socket = socket_path(dir);
        remove(&socket)?;
        remove(&socket.with_file_name(format!(".s.PGSQL.{}.lock", super::layout::PORT)))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), PrivateError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause).doing("remove", path),
        _ => Ok(()),
    }
}

fn stop_all(cluster: &Path) -> Result<(), PrivateError> {
    let begun = Instant::now();
    let mut told: Vec<Pid> = Vec::new();
    loop {
        let left = processes(cluster).doing("look for processes of", cluster)?;
        let Some(&first) = left.first() else {
            return Ok(());
        };
        let waited = begun.elapsed();
        if waited > QUIT_PATIENCE + KILL_PATIENCE {
            let pid = first.as_raw_nonzero().get();
            return Err(PrivateError::Leftover { cluster: cluster.to_owned(), pid });
        }
        for pid in left {
            let kill = waited > QUIT_PATIENCE;
            if !kill && told.contains(&pid) {
                continue;
            }
            if told.is_empty() {
                tracing::warn!(?pid, "stopping PostgreSQL processes left over from an earlier run");
            }
            told.push(pid);
            // It may be gone since it was listed; whatever else is wrong, the time limit tells.
            let _ = kill_process(pid, if kill { Signal::KILL } else { Signal::QUIT });
        }
        #[allow(clippy::disallowed_methods)] // on the supervisor's own thread
        thread::sleep(Duration::from_millis(10));
    }
}

/// Processes named `postgres` whose working directory is the cluster: every one of Postgres' own
/// enters it at once and stays. Compared by device and inode, since a path can be spelt in many ways.
#[cfg(target_os = "linux")]
fn processes(cluster: &Path) -> io::Result<Vec<Pid>> {
    use std::os::unix::fs::MetadataExt;
    let Ok(cluster) = fs::metadata(cluster) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        let named = fs::read(entry.path().join("comm")).is_ok_and(|comm| comm == b"postgres\n");
        // A zombie has no working directory, and another user's process is none of ours.
        let at_work = named
            && fs::metadata(entry.path().join("cwd"))
                .is_ok_and(|cwd| (cwd.dev(), cwd.ino()) == (cluster.dev(), cluster.ino()));
        if at_work {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Without /proc: the postmaster that the pid file names, if that is what runs under the number.
/// Its children end when they notice that it has.
#[cfg(not(target_os = "linux"))]
fn processes(cluster: &Path) -> io::Result<Vec<Pid>> {
    let file = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
    let number = file.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
    let Some(pid) = number.map(i32::abs).and_then(Pid::from_raw) else {
        return Ok(Vec::new());
    };
    let name =
        std::process::Command::new("ps").args(["-o", "comm=", "-p", &pid.as_raw_nonzero().to_string()]).output()?;
    let runs = String::from_utf8_lossy(&name.stdout).trim().ends_with("postgres");
    Ok(if runs { vec![pid] } else { Vec::new() })
}
