//! Starting and stopping: the signal everything listens to, and the loops that run until it comes.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

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
    /// Runs `work` again and again until the server stops. It says whether it did all it could (`true`
    /// asks to be called again at once); an error is logged, and the next turn tries again.
    pub fn every<F, Fut, E>(&mut self, name: &'static str, pause: Duration, shutdown: Shutdown, work: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = Result<bool, E>> + Send,
        E: std::fmt::Display,
    {
        self.tasks.spawn(async move {
            while !shutdown.has_started() {
                match AssertUnwindSafe(work()).catch_unwind().await {
                    Ok(Ok(true)) => continue,
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

    pub async fn join(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
