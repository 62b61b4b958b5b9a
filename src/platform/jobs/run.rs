//! How jobs are done.
//!
//! 1. *Claim*: a server takes what is due for the time of a lease. When it dies, another takes it after that.
//! 2. *Run* the handler of its kind, with no transaction open, and no longer than the lease.
//! 3. *Record* how it went, unless the handler did so itself in the transaction of its effects.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rand::RngExt;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::model::{Failure, wait};
use super::repo::{self, Due, Room};
use super::{Db, Jobs};
use crate::platform::db::Tx;

/// Between two looks for what is due.
const PAUSE: Duration = Duration::from_millis(100);

/// What is under way when a server stops has so long; the rest is taken up by another.
const DRAIN: Duration = Duration::from_secs(5);

/// From the end of an attempt's time to that of its lease: to record how it went.
const TO_RECORD: Duration = Duration::from_secs(5);

/// How jobs of a kind are done.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Under way at once, of one server
    pub at_once: usize,
    /// For one attempt
    pub timeout: Duration,
    /// From the first attempt to the second; the waits after it are three times as long each
    pub retry: Duration,
}

type Work = Arc<dyn Fn(Running) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

#[derive(Clone)]
struct Handler {
    kind: &'static str,
    terms: Terms,
    work: Work,
}

/// Who does the jobs of which kind. A server takes no others.
#[derive(Clone, Default)]
pub struct Handlers(Vec<Handler>);

impl Handlers {
    #[must_use]
    pub fn with<F, Fut>(mut self, kind: &'static str, terms: Terms, work: F) -> Self
    where
        F: Fn(Running) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.0.push(Handler { kind, terms, work: Arc::new(move |job| work(job).boxed()) });
        self
    }
}

/// An attempt at a job.
#[derive(Clone, Debug)]
pub struct Running {
    pub id: Uuid,
    /// Which attempt this is, from 1
    pub attempt: i32,
    payload: serde_json::Value,
    fence: i64,
}

impl Running {
    /// What the job is about.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let read = serde_json::from_value(self.payload.clone());
        read.map_err(|error| Failure::Final(format!("the payload cannot be read: {error}")))
    }

    /// Ends the job in the transaction of its effects, so that both happen, or none. False: it is no longer this attempt's,
    /// and the caller must roll back.
    pub async fn finish_in_tx(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        repo::finish(conn, self.id, self.fence).await
    }

    /// Ends the job with the effects of a transaction; without any, where it is no longer this attempt's.
    pub async fn commit(&self, mut tx: Tx) -> sqlx::Result<()> {
        if self.finish_in_tx(&mut tx).await? { tx.commit().await } else { tx.rollback().await }
    }
}

impl Jobs {
    /// Does what is due until the server stops.
    pub async fn work(self, handlers: Handlers, stopped: impl Future<Output = ()> + Send) {
        // Of each kind those under way are counted by its own set.
        let mut tasks: Vec<JoinSet<()>> = handlers.0.iter().map(|_| JoinSet::new()).collect();
        let mut stopped = std::pin::pin!(stopped);
        loop {
            for set in &mut tasks {
                while set.try_join_next().is_some() {}
            }
            let pause = match self.claim(&handlers, &tasks).await {
                Ok(due) => {
                    for due in due {
                        let place = handlers.0.iter().position(|handler| handler.kind == due.kind);
                        let place = place.expect("only kinds with a handler are taken");
                        tasks[place].spawn(attempt(self.db.clone(), handlers.0[place].clone(), due));
                    }
                    PAUSE
                }
                Err(error) => {
                    tracing::warn!(worker = "jobs", %error, "turn failed; trying again");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = &mut stopped => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let done = async {
            for set in &mut tasks {
                while set.join_next().await.is_some() {}
            }
        };
        let _ = tokio::time::timeout(DRAIN, done).await;
    }

    async fn claim(&self, handlers: &Handlers, tasks: &[JoinSet<()>]) -> sqlx::Result<Vec<Due>> {
        let rooms = handlers.0.iter().zip(tasks).filter(|(handler, set)| set.len() < handler.terms.at_once);
        let rooms: Vec<Room> = rooms
            .map(|(Handler { kind, terms, .. }, set)| Room {
                kind,
                room: i64::try_from(terms.at_once - set.len()).unwrap_or(i64::MAX),
                lease: terms.timeout + TO_RECORD,
            })
            .collect();
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.db.begin().await?;
        let due = repo::claim(&mut tx, &rooms).await?;
        tx.commit().await?;
        Ok(due)
    }
}

async fn attempt(db: Db, handler: Handler, due: Due) {
    let outcome = if due.attempt > due.max_attempts {
        Err(Failure::Final("the server that made the last attempt was lost".to_owned()))
    } else {
        let job = Running { id: due.id, attempt: due.attempt, payload: due.payload.clone(), fence: due.fence };
        let work = AssertUnwindSafe((handler.work)(job)).catch_unwind();
        match tokio::time::timeout(handler.terms.timeout, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::Again("the handler panicked; the log has the cause".to_owned())),
            Err(_) => Err(Failure::Again(format!("not done within {} s", handler.terms.timeout.as_secs()))),
        }
    };
    match record(&db, &handler, &due, outcome).await {
        Ok(told) => metrics::counter!("stockhold_jobs_total", "kind" => handler.kind, "outcome" => told).increment(1),
        Err(error) => {
            tracing::warn!(%error, job = %due.id, "how a job went could not be recorded; it will be tried again");
        }
    }
}

/// How an attempt went, in a word.
async fn record(db: &Db, handler: &Handler, due: &Due, outcome: Result<(), Failure>) -> sqlx::Result<&'static str> {
    let mut tx = db.begin().await?;
    let told = match outcome {
        Ok(()) if repo::finish(&mut tx, due.id, due.fence).await? => "done",
        Ok(()) if repo::is_done(&mut tx, due.id, due.fence).await? => "done",
        Ok(()) => "lost",
        Err(failure) => {
            let is_final = matches!(failure, Failure::Final(_)) || due.attempt >= due.max_attempts;
            let wait = wait(handler.terms.retry, due.attempt, rand::rng().random());
            match repo::fail(&mut tx, due, &failure.kept(), wait, is_final).await?.as_deref() {
                Some("dead") => {
                    tracing::warn!(job = %due.id, kind = handler.kind, error = %failure, "a job was given up");
                    "dead"
                }
                Some(_) => "failed",
                None => "lost",
            }
        }
    };
    tx.commit().await?;
    Ok(told)
}
