//! The hold of a link: one server at a time works for a broker.
//!
//! Whoever holds a link (a row, for [`HOLD_SECONDS`] at a time) connects and works, and tells in the row how it goes. It
//! stops when it cannot renew the hold: from then on, another server may have the link.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use uuid::Uuid;

use super::backoff;
use super::repo::{self, Condition, HOLD_SECONDS};
use crate::lifecycle::Shutdown;
use crate::platform::db::Db;
use crate::platform::id;

/// Between two looks whether the server that has the link is gone.
const STANDBY: Duration = Duration::from_secs(1);

/// Well below the hold, so that it survives a statement that fails or takes long.
const RENEW: Duration = Duration::from_secs(1);

/// A little less than the database gives: the time that a statement takes is not ours.
const HOLD: Duration = Duration::from_secs(HOLD_SECONDS.unsigned_abs() as u64 - 1);

/// How long giving up the link may take when the server stops.
const FAREWELL: Duration = Duration::from_millis(500);

/// What is done for a broker by the server that has the link.
pub(super) trait Work: Send + Sync {
    fn hold(&self) -> &Hold;

    /// Where a link begins that is new.
    fn beginning(&self) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// One connection: works until it fails. Clears the count of `failures` when it goes well.
    fn connect_and_work(&self, failures: &mut u32) -> impl Future<Output = Result<Infallible, Paused>> + Send;

    /// How much is still to be done.
    fn lag(&self) -> impl Future<Output = sqlx::Result<i64>> + Send;
}

/// What a broker refused, or why there is none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(pub String);

impl Failure {
    /// An error with its causes, which often say more than itself.
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let mut text = String::new();
        for cause in causes.map(ToString::to_string).filter(|cause| !cause.is_empty()) {
            if !text.contains(&cause) {
                text += if text.is_empty() { "" } else { ": " };
                text += &cause;
            }
        }
        Self(text)
    }
}

/// Why a server no longer works for a broker.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("another server works for it")]
    Taken,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Why the work paused.
pub(super) enum Paused {
    Failed(Failure),
    Ended(Ended),
}

impl From<sqlx::Error> for Paused {
    fn from(error: sqlx::Error) -> Self {
        Self::Ended(error.into())
    }
}

pub(super) struct Hold {
    pub name: &'static str,
    pub db: Db,
    server: Uuid,
    known: Mutex<Known>,
}

/// What is known of a link while this server has it.
#[derive(Default)]
struct Known {
    position: i64,
    condition: Condition,
    /// Whether the broker's failing was told to the operator.
    is_told: bool,
}

/// Works whenever no other server does, until this one stops.
pub(super) async fn run(work: impl Work, shutdown: Shutdown) {
    let hold = work.hold();
    let working = async {
        // A bug, logged where it happened; it must not end the work for good.
        while AssertUnwindSafe(work_in_turn(&work)).catch_unwind().await.is_err() {
            tracing::error!(broker = hold.name, "the work for a broker panicked; trying again");
            tokio::time::sleep(STANDBY).await;
        }
    };
    tokio::select! {
        () = shutdown.started() => {}
        () = working => {}
    }
    let release = async { repo::release(&mut *hold.db.conn().await?, hold.name, hold.server).await };
    // Who cannot give it up leaves it to its time.
    let _ = tokio::time::timeout(FAREWELL, release).await;
}

async fn work_in_turn(work: &impl Work) {
    let name = work.hold().name;
    let mut was_well = true;
    loop {
        let ended = match take(work).await {
            Ok(Some(position)) => lead(work, position).await,
            Ok(None) => Ended::Taken,
            Err(error) => error.into(),
        };
        metrics::gauge!("stockhold_broker_up", "broker" => name).set(0.0);
        metrics::gauge!("stockhold_broker_lag_events", "broker" => name).set(0.0);
        let is_well = matches!(ended, Ended::Taken);
        if was_well && !is_well {
            tracing::warn!(broker = name, error = %ended, "the database fails the work for a broker; trying again");
        }
        was_well = is_well;
        tokio::time::sleep(STANDBY).await;
    }
}

/// The link, if nobody has it, and how far it is. A new one is made.
async fn take(work: &impl Work) -> sqlx::Result<Option<i64>> {
    let hold = work.hold();
    let is_there = repo::exists(&mut *hold.db.conn().await?, hold.name).await?;
    if !is_there {
        let position = work.beginning().await?;
        repo::begin(&mut *hold.db.conn().await?, hold.name, position).await?;
    }
    repo::take(&mut *hold.db.conn().await?, hold.name, hold.server).await
}

/// Works for as long as this server has the link.
async fn lead(work: &impl Work, position: i64) -> Ended {
    *work.hold().known() = Known { position, ..Known::default() };
    tokio::select! {
        ended = keep(work) => ended,
        ended = work_again_and_again(work) => ended,
    }
}

/// Renews the hold until that fails: from then on, another server may have the link.
async fn keep(work: &impl Work) -> Ended {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(RENEW).await;
        let begun = Instant::now();
        let left = HOLD.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(left, renew(work)).await {
            Ok(Ok(())) => renewed = begun,
            Ok(Err(Ended::Taken)) => return Ended::Taken,
            Ok(Err(error)) if renewed.elapsed() + RENEW >= HOLD => return error,
            Ok(Err(_)) => {}
            Err(_) => return sqlx::Error::PoolTimedOut.into(),
        }
    }
}

async fn renew(work: &impl Work) -> Result<(), Ended> {
    work.hold().tell().await?;
    let lag = work.lag().await?;
    metrics::gauge!("stockhold_broker_lag_events", "broker" => work.hold().name).set(lag as f64);
    Ok(())
}

async fn work_again_and_again(work: &impl Work) -> Ended {
    let mut failures = 0;
    loop {
        let Err(paused) = work.connect_and_work(&mut failures).await;
        let failure = match paused {
            Paused::Failed(failure) => failure,
            Paused::Ended(ended) => return ended,
        };
        if let Err(ended) = work.hold().is_down(failure).await {
            return ended;
        }
        failures += 1;
        tokio::time::sleep(backoff::pause(failures, rand::random())).await;
    }
}

impl Hold {
    pub(super) fn new(name: &'static str, db: Db) -> Self {
        Self { name, db, server: id::new(), known: Mutex::default() }
    }

    /// The broker has all up to here.
    pub(super) fn position(&self) -> i64 {
        self.known().position
    }

    /// It has all up to a position; that is stored with the next renewal of the hold.
    pub(super) fn pass(&self, position: i64) {
        self.known().position = position;
    }

    /// Stores that the broker has all up to a position.
    pub(super) async fn advance(&self, position: i64) -> Result<(), Paused> {
        if !repo::advance(&mut *self.db.conn().await?, self.name, self.server, position).await? {
            return Err(Paused::Ended(Ended::Taken));
        }
        self.pass(position);
        Ok(())
    }

    /// Tells that the broker is there.
    pub(super) async fn is_up(&self) -> Result<(), Paused> {
        {
            let mut known = self.known();
            if known.condition.connected {
                return Ok(());
            }
            known.condition = Condition { connected: true, last_error: known.condition.last_error.take() };
            let how = if known.is_told { "is back" } else { "is served by this server" };
            tracing::info!(broker = self.name, "the broker {how}");
            known.is_told = false;
        }
        metrics::gauge!("stockhold_broker_up", "broker" => self.name).set(1.0);
        self.tell().await.map_err(Paused::Ended)
    }

    async fn is_down(&self, failure: Failure) -> Result<(), Ended> {
        {
            let mut known = self.known();
            if !known.is_told {
                known.is_told = true;
                tracing::warn!(broker = self.name, error = %failure, "the broker is away; trying again, nothing is lost");
            }
            known.condition = Condition { connected: false, last_error: Some(failure.0) };
        }
        metrics::gauge!("stockhold_broker_up", "broker" => self.name).set(0.0);
        self.tell().await
    }

    /// Renews the hold, and stores how and where the link is.
    async fn tell(&self) -> Result<(), Ended> {
        let (position, condition) = {
            let known = self.known();
            (known.position, known.condition.clone())
        };
        let conn = &mut *self.db.conn().await?;
        let is_ours = repo::renew(conn, self.name, self.server, position, &condition).await?;
        if is_ours { Ok(()) } else { Err(Ended::Taken) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
