//! Whether the database is there, asked over a connection that does nothing else.
//!
//! A pool cannot tell: whoever wants a connection while the database is away waits until its patience is over,
//! and cannot know whether others are in the way or nobody is there. A connection of its own also keeps a crowd from
//! making the server look dead to what asks for its readiness.

use std::io;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, watch};

/// A database that says nothing for so long is away, whatever holds it up.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct Health {
    options: PgConnectOptions,
    conn: Mutex<Option<PgConnection>>,
    away: watch::Sender<bool>,
}

impl Health {
    /// Presumes that it is there until somebody looks.
    pub fn new(options: PgConnectOptions) -> Self {
        Self { options, conn: Mutex::default(), away: watch::Sender::new(false) }
    }

    /// Looks, and keeps in mind what it saw.
    pub async fn look(&self) -> sqlx::Result<()> {
        let seen = tokio::time::timeout(PATIENCE, self.ask()).await.unwrap_or_else(|_| Err(away()));
        self.away.send_if_modified(|away| std::mem::replace(away, seen.is_err()) != seen.is_err());
        seen
    }

    async fn ask(&self) -> sqlx::Result<()> {
        let mut conn = self.conn.lock().await;
        // Taken out, so that a look that is given up half-way leaves nothing half-read behind.
        if let Some(mut known) = conn.take()
            && known.ping().await.is_ok()
        {
            *conn = Some(known);
            return Ok(());
        }
        match self.options.connect().await {
            Ok(new) => *conn = Some(new),
            Err(error) if is_refusal(&error) => tracing::warn!(%error, "no connection to watch the database with"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ends once the database is away, as far as was seen.
    pub async fn until_away(&self) -> sqlx::Error {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.away.subscribe().wait_for(|away| *away).await;
        away()
    }

    pub async fn close(&self) {
        if let Some(conn) = self.conn.lock().await.take() {
            let _ = conn.close().await;
        }
    }
}

/// It is there and has a reason of its own, such as too many connections.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| !code.starts_with("57P"))
}

fn away() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::NotConnected, "the database is away"))
}
