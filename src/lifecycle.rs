//! Starting and stopping: the signal everything listens to, and the loops that run until it comes.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tells everybody that the server is stopping.
#[derive(Clone)]
pub struct Shutdown {
    sender: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { sender: watch::Sender::new(false) }
    }
}

impl Shutdown {
    pub fn start(&self) {
        self.sender.send_replace(true);
    }

    pub fn has_started(&self) -> bool {
        *self.sender.borrow()
    }

    pub async fn started(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in self, so waiting cannot fail.
        let _ = receiver.wait_for(|stopping| *stopping).await;
    }

    /// Starts at SIGINT or SIGTERM.
    pub async fn on_signal(self) {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).expect("signal handlers can be installed at start");
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        self.start();
    }
}

/// Loops of the background, joined at the end.
#[derive(Default)]
pub struct Workers {
    tasks: JoinSet<()>,
}

impl Workers {
    /// Runs `work` again and again until the server stops. It says whether there is more to do (`true`): then it is
    /// called again after a rest four times as long as its turn was: what runs beside the requests leaves them most of the
    /// database. An error is logged, and the next turn tries again.
    pub fn every<F, Fut, E>(&mut self, name: &'static str, pause: Duration, shutdown: Shutdown, work: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = Result<bool, E>> + Send,
        E: std::fmt::Display,
    {
        self.tasks.spawn(async move {
            while !shutdown.has_started() {
                let (begun, mut pause) = (Instant::now(), pause);
                match AssertUnwindSafe(work()).catch_unwind().await {
                    Ok(Ok(true)) => pause = begun.elapsed() * 4,
                    Ok(Ok(false)) => {}
                    Ok(Err(error)) => tracing::warn!(worker = name, %error, "turn failed; trying again"),
                    // A bug, logged where it happened; it must not end the work for good.
                    Err(_) => tracing::error!(worker = name, "turn panicked; trying again"),
                }
                tokio::select! {
                    () = shutdown.started() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Runs what has a loop of its own, and ends when the server stops.
    pub fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    pub async fn join(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
