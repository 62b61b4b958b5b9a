//! One run of Postgres: started, waited for until it takes connections, and its exit awaited.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::error::{IoContext, PrivateError};
use super::find::Binaries;
use super::identity::{Identity, OnOurDeath};
use super::layout::Layout;
use super::log::Log;
use super::tune;

/// Everything that starting Postgres takes, first and again.
#[derive(Debug)]
pub(super) struct Launch {
    pub layout: Layout,
    pub binaries: Binaries,
    pub identity: Identity,
    pub socket_dir: PathBuf,
    pub log: Log,
}

impl Launch {
    /// Spawns Postgres. To be called on the thread that lives as long as the server does.
    pub fn spawn(&self) -> Result<Child, PrivateError> {
        let postgres = self.binaries.postgres();
        let mut command = self.identity.command(&postgres, &self.layout.run, OnOurDeath::Quit);
        command.arg("-D").arg(&self.layout.cluster);
        for setting in tune::invariants(&self.layout, &self.socket_dir) {
            command.arg("-c").arg(setting);
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().doing("run", &postgres)?;
        let stderr = child.stderr.take().expect("stderr was piped just above");
        if let Err(cause) = self.log.follow(stderr) {
            // Unread, the pipe would fill and hold Postgres up.
            let _ = child.kill();
            let _ = child.wait();
            return Err(cause).doing("follow", &self.layout.log);
        }
        Ok(child)
    }

    /// Waits until Postgres takes connections or has ended; `Ok(false)` says it has ended.
    ///
    /// Without a time limit: replaying the log after a crash takes as long as it takes, and ending
    /// it would only make the next try longer.
    pub fn wait_ready(&self, pid: Pid) -> Result<bool, PrivateError> {
        const REMIND: Duration = Duration::from_secs(10);
        let mut remind = Instant::now() + REMIND;
        let mut pause = Duration::from_millis(2);
        loop {
            if has_exited(pid).doing("wait for", self.binaries.postgres())? {
                return Ok(false);
            }
            if self.is_ready(pid) {
                return Ok(true);
            }
            if Instant::now() > remind {
                tracing::info!(said = self.log.tail(), "PostgreSQL is still starting");
                remind += REMIND;
            }
            #[allow(clippy::disallowed_methods)] // on the supervisor's own thread
            std::thread::sleep(pause);
            pause = (pause * 3 / 2).min(Duration::from_millis(50));
        }
    }

    /// Line 8 of postmaster.pid is the postmaster's own word on its state. Line 1 tells our run's
    /// file from an earlier one.
    fn is_ready(&self, pid: Pid) -> bool {
        let file = fs::read_to_string(self.layout.cluster.join("postmaster.pid")).unwrap_or_default();
        let lines: Vec<&str> = file.lines().map(str::trim).collect();
        let ours = lines.first().is_some_and(|it| *it == pid.as_raw_nonzero().to_string());
        ours && lines.get(7) == Some(&"ready")
    }

    pub fn start_error(&self, status: ExitStatus) -> PrivateError {
        PrivateError::Start { status: status.to_string(), said: self.log.tail(), log: self.layout.log.clone() }
    }
}

/// Blocks until the child has ended, without reaping it: its number stays its own, so that whoever
/// signals it meanwhile cannot hit another process.
pub(super) fn wait_exit(pid: Pid) -> io::Result<()> {
    wait(pid, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).map(drop)
}

fn has_exited(pid: Pid) -> io::Result<bool> {
    wait(pid, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG)
}

fn wait(pid: Pid, options: WaitIdOptions) -> io::Result<bool> {
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(cause.into()),
            Ok(status) => return Ok(status.is_some()),
        }
    }
}
