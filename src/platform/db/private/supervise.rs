//! The supervising thread: it alone starts Postgres, waits for its end, and starts it again.
//!
//! An OS thread and not a task, for two reasons. The kernel ties the child's fate to the thread
//! that spawned it, so that thread must live as long as the server. And nothing here should wait
//! behind the runtime's own work: when the server is busiest is when Postgres may need restarting.

use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{oneshot, watch};

use super::error::{IoContext, PrivateError};
use super::find::{self, Binaries};
use super::identity::Identity;
use super::layout::{Layout, Lock, private_dir};
use super::log::Log;
use super::process::{Launch, wait_exit};
use super::{Connection, Options, cluster, install, leftovers};

/// Between an unexpected end and the next try: at once at first, then slower and slower.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A run this long was a good one: the next pause is the first again.
const GOOD_RUN: Duration = Duration::from_secs(60);

/// What the thread and its owner share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    told: Condvar,
    status: watch::Sender<Status>,
}

#[derive(Debug, Default)]
struct State {
    /// Set while the child is not reaped, so that its number is certainly its own.
    child: Option<Pid>,
    stopping: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    pub pid: Option<u32>,
    pub ready: bool,
    /// How often Postgres ended without being told to.
    pub exits: u64,
    pub last_exit: String,
    /// The thread has ended, and given up the lock.
    pub done: bool,
}

impl Shared {
    pub fn new() -> Arc<Shared> {
        Arc::new(Shared {
            state: Mutex::default(),
            told: Condvar::new(),
            status: watch::Sender::new(Status::default()),
        })
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Ends Postgres for good; to be repeated with a stronger signal if it takes too long.
    pub fn stop(&self, signal: Signal) {
        let mut state = self.state();
        state.stopping = true;
        if let Some(pid) = state.child {
            // It may have ended already, which is what we want.
            let _ = kill_process(pid, signal);
        }
        self.told.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment, so a panic elsewhere leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.state().stopping
    }

    /// Waits for `pause`, or less if told to stop.
    fn pause(&self, pause: Duration) {
        let state = self.state();
        let _unused = self.told.wait_timeout_while(state, pause, |state| !state.stopping);
    }

    /// Spawns under the state's lock, so that a stop comes either before, and nothing is spawned,
    /// or after, and finds the child to signal.
    fn spawn(&self, launch: &Launch) -> Result<(Child, Pid), PrivateError> {
        let mut state = self.state();
        if state.stopping {
            return Err(PrivateError::Stopped);
        }
        let child = launch.spawn()?;
        let pid = Pid::from_child(&child);
        state.child = Some(pid);
        self.status.send_modify(|status| status.pid = Some(child.id()));
        Ok((child, pid))
    }

    fn reap(&self, child: &mut Child) -> Result<ExitStatus, PrivateError> {
        let mut state = self.state();
        state.child = None;
        self.status.send_modify(|status| {
            status.pid = None;
            status.ready = false;
        });
        child.wait().doing("wait for", "postgres")
    }
}

/// Says that the thread is done however it ends.
struct Done<'a>(&'a Shared);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.status.send_modify(|status| {
            status.pid = None;
            status.ready = false;
            status.done = true;
        });
    }
}

/// The body of the thread. `report` gets the outcome of the first start.
pub(super) fn run(options: &Options, shared: &Shared, report: oneshot::Sender<Result<Connection, PrivateError>>) {
    let _done = Done(shared);
    // Declared after `_done`, so given up before the end is announced.
    let (_lock, launch, password) = match open(options) {
        Ok(opened) => opened,
        Err(error) => return drop(report.send(Err(error))),
    };
    let running = match start(shared, &launch) {
        Ok(running) => running,
        Err(error) => return drop(report.send(Err(error))),
    };
    let connection = Connection::new(launch.socket_dir.clone(), password);
    if report.send(Ok(connection)).is_err() {
        // Whoever asked for the start is gone.
        shared.stop(Signal::INT);
    }
    keep_running(shared, &launch, running);
}

/// Everything before the first spawn, in the one order that is safe: the lock, then what needs it.
fn open(options: &Options) -> Result<(Lock, Launch, String), PrivateError> {
    let layout = Layout::create(&options.data_dir)?;
    let lock = Lock::take(&layout.root)?;
    let needed = layout.cluster_major()?;
    let binaries = find_or_install(options, &layout, needed)?;
    private_dir(&layout.run).map_err(std::io::Error::other).doing("use", &layout.run)?;
    let identity = Identity::choose(&layout.run, &binaries.postgres())?;
    identity.own(&layout.run)?;
    let socket_dir = layout.socket_dir()?;
    identity.own(&socket_dir)?;
    let conf = cluster::conf(options.memory_bytes, options.max_connections);
    let password = cluster::ensure(&layout, &binaries, &identity, &conf)?;
    tracing::debug!(dir = %binaries.dir.display(), version = binaries.major, %identity, "PostgreSQL found");
    let log = Log::new(layout.log.clone());
    Ok((lock, Launch { layout, binaries, identity, socket_dir, log }, password))
}

fn find_or_install(options: &Options, layout: &Layout, needed: Option<u32>) -> Result<Binaries, PrivateError> {
    match find::find(options, &layout.cluster, needed) {
        Err(PrivateError::NotFound { .. } | PrivateError::WrongMajor { .. })
            if options.install && options.bin_dir.is_none() =>
        {
            install::install(options, &layout.cluster, needed)
        }
        found => found,
    }
}

struct Running {
    child: Child,
    pid: Pid,
    since: Instant,
}

fn start(shared: &Shared, launch: &Launch) -> Result<Running, PrivateError> {
    leftovers::clear(&launch.layout.cluster, Some(&launch.socket_dir))?;
    let since = Instant::now();
    let (mut child, pid) = shared.spawn(launch)?;
    if launch.wait_ready(pid)? {
        shared.status.send_modify(|status| status.ready = true);
        return Ok(Running { child, pid, since });
    }
    let status = shared.reap(&mut child)?;
    if shared.stopping() {
        return Err(PrivateError::Stopped);
    }
    Err(launch.start_error(status))
}

fn keep_running(shared: &Shared, launch: &Launch, first: Running) {
    let mut pause = FIRST_PAUSE;
    let mut running = Some(first);
    loop {
        if let Some(mut run) = running.take() {
            let ended = wait_exit(run.pid).doing("wait for", "postgres");
            let how = match ended.and_then(|()| shared.reap(&mut run.child)) {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            if shared.stopping() {
                break;
            }
            tracing::error!(how, said = launch.log.tail(), "PostgreSQL ended unexpectedly; starting it again");
            shared.status.send_modify(|status| {
                status.exits += 1;
                status.last_exit = how;
            });
            if run.since.elapsed() > GOOD_RUN {
                pause = FIRST_PAUSE;
            }
        }
        shared.pause(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        match start(shared, launch) {
            Ok(run) => {
                tracing::info!(pid = run.child.id(), "PostgreSQL is running again");
                running = Some(run);
            }
            Err(PrivateError::Stopped) => break,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "PostgreSQL does not start; trying again")
            }
        }
    }
    // After an orderly stop nothing is left; after SIGKILL its children may be.
    if let Err(error) = leftovers::clear(&launch.layout.cluster, Some(&launch.socket_dir)) {
        tracing::error!(error = &error as &dyn std::error::Error, "PostgreSQL left something behind");
    }
}
