//! A link: the loop that brings the feed to one broker, on one server at a time.
//!
//! Whoever holds the link (a row, for [`HOLD_SECONDS`] at a time) reads a batch, has the broker acknowledge it, and
//! only then stores how far that was. What ends in between (this server, the broker, the database, the hold) costs
//! nothing but that a part of the batch is sent again, with the same ids: at least once, in order.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use uuid::Uuid;

use super::backoff;
use super::repo::{self, Condition, HOLD_SECONDS};
use super::settings::From;
use crate::events::{Events, Filter, PublishedEvent};
use crate::lifecycle::Shutdown;
use crate::platform::db::Db;
use crate::platform::id;

/// Events that are on their way to the broker at once.
const BATCH: usize = 500;

/// Between two looks whether the server that has the link is gone.
const STANDBY: Duration = Duration::from_secs(1);

/// Well below the hold, so that it survives a statement that fails or takes long.
const RENEW: Duration = Duration::from_secs(1);

/// A little less than the database gives: the time that a statement takes is not ours.
const HOLD: Duration = Duration::from_secs(HOLD_SECONDS.unsigned_abs() as u64 - 1);

/// How long giving up the link may take when the server stops.
const FAREWELL: Duration = Duration::from_millis(500);

/// A kind of broker.
pub(super) trait Broker: Send + Sync + 'static {
    type Connection: Connection;

    /// One try, which ends within seconds. `feed` is what cursors of the events begin with.
    fn connect(&self, feed: i64) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;
}

/// A connection that is never made again behind our back: what was sent on it before would come after what is sent anew.
pub(super) trait Connection: Send {
    /// Sends events in their order. Says how many of them, from the first, the broker has taken for sure.
    fn publish(&mut self, events: &[PublishedEvent]) -> impl Future<Output = (usize, Result<(), Failure>)> + Send;

    /// Returns when the connection is lost.
    fn lost(&mut self) -> impl Future<Output = Failure> + Send;
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

/// Why a server no longer feeds a broker.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("another server feeds it")]
    Taken,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Why feeding paused.
enum Paused {
    Failed(Failure),
    Ended(Ended),
}

impl std::convert::From<sqlx::Error> for Paused {
    fn from(error: sqlx::Error) -> Self {
        Self::Ended(error.into())
    }
}

pub(super) struct Link<B> {
    pub name: &'static str,
    pub broker: B,
    pub filter: Filter,
    pub from: From,
    pub db: Db,
    pub events: Events,
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

impl<B: Broker> Link<B> {
    pub(super) fn new(name: &'static str, broker: B, filter: Filter, from: From, db: Db, events: Events) -> Self {
        Self { name, broker, filter, from, db, events, server: id::new(), known: Mutex::default() }
    }

    /// Feeds the broker whenever no other server does, until this one stops.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let work = async {
            // A bug, logged where it happened; it must not end the work for good.
            while AssertUnwindSafe(self.work()).catch_unwind().await.is_err() {
                tracing::error!(broker = self.name, "feeding a broker panicked; trying again");
                tokio::time::sleep(STANDBY).await;
            }
        };
        tokio::select! {
            () = shutdown.started() => {}
            () = work => {}
        }
        let release = async { repo::release(&mut *self.db.conn().await?, self.name, self.server).await };
        // Who cannot give it up leaves it to its time.
        let _ = tokio::time::timeout(FAREWELL, release).await;
    }

    async fn work(&self) {
        let mut was_well = true;
        loop {
            let ended = match self.take().await {
                Ok(Some(position)) => self.lead(position).await,
                Ok(None) => Ended::Taken,
                Err(error) => error.into(),
            };
            metrics::gauge!("stockhold_broker_up", "broker" => self.name).set(0.0);
            metrics::gauge!("stockhold_broker_lag_events", "broker" => self.name).set(0.0);
            let is_well = matches!(ended, Ended::Taken);
            if was_well && !is_well {
                tracing::warn!(broker = self.name, error = %ended, "the feed cannot be read for a broker; trying again");
            }
            was_well = is_well;
            tokio::time::sleep(STANDBY).await;
        }
    }

    /// The link, if nobody has it, and how far it is. A new one is made.
    async fn take(&self) -> sqlx::Result<Option<i64>> {
        let is_there = repo::exists(&mut *self.db.conn().await?, self.name).await?;
        if !is_there {
            let position = match self.from {
                From::Now => self.events.settled_position().await?,
                From::Beginning => self.events.forgotten_to().await?,
            };
            repo::begin(&mut *self.db.conn().await?, self.name, position).await?;
        }
        repo::take(&mut *self.db.conn().await?, self.name, self.server).await
    }

    /// Feeds the broker for as long as this server has the link.
    async fn lead(&self, position: i64) -> Ended {
        *self.known() = Known { position, ..Known::default() };
        tokio::select! {
            ended = self.hold() => ended,
            ended = self.feed_again_and_again() => ended,
        }
    }

    /// Renews the hold until that fails: from then on, another server may have the link.
    async fn hold(&self) -> Ended {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RENEW).await;
            let begun = Instant::now();
            let left = HOLD.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(())) => renewed = begun,
                Ok(Err(Ended::Taken)) => return Ended::Taken,
                Ok(Err(error)) if renewed.elapsed() + RENEW >= HOLD => return error,
                Ok(Err(_)) => {}
                Err(_) => return sqlx::Error::PoolTimedOut.into(),
            }
        }
    }

    async fn renew(&self) -> Result<(), Ended> {
        self.tell().await?;
        let end = self.events.position().await?;
        let lag = (end - self.known().position).max(0);
        metrics::gauge!("stockhold_broker_lag_events", "broker" => self.name).set(lag as f64);
        Ok(())
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

    async fn feed_again_and_again(&self) -> Ended {
        let mut failures = 0;
        loop {
            let Err(paused) = self.connect_and_feed(&mut failures).await;
            let failure = match paused {
                Paused::Failed(failure) => failure,
                Paused::Ended(ended) => return ended,
            };
            if let Err(ended) = self.is_down(failure).await {
                return ended;
            }
            failures += 1;
            tokio::time::sleep(backoff::pause(failures, rand::random())).await;
        }
    }

    async fn connect_and_feed(&self, failures: &mut u32) -> Result<std::convert::Infallible, Paused> {
        let feed = self.events.cursor_at(0).await?.feed;
        let mut connection = self.broker.connect(feed).await.map_err(Paused::Failed)?;
        self.leave_out_what_is_forgotten().await?;
        let mut news = self.events.news();
        loop {
            let position = self.known().position;
            let stretch = self.events.read(position, BATCH, &self.filter).await?;
            let nothing = (0, Ok(()));
            let (taken, outcome) =
                if stretch.events.is_empty() { nothing } else { connection.publish(&stretch.events).await };
            metrics::counter!("stockhold_broker_published_total", "broker" => self.name).increment(taken as u64);
            if stretch.events.is_empty() {
                self.known().position = stretch.position; // stored with the next renewal of the hold
            } else if outcome.is_ok() {
                self.advance(stretch.position).await?;
            } else if let Some(last) = taken.checked_sub(1) {
                self.advance(stretch.events[last].position).await?;
            }
            outcome.map_err(Paused::Failed)?;
            *failures = 0;
            self.is_up().await.map_err(Paused::Ended)?;
            if stretch.is_all {
                tokio::select! {
                    () = news.after(stretch.position) => {}
                    failure = connection.lost() => return Err(Paused::Failed(failure)),
                }
            }
        }
    }

    /// Stores that the broker has all up to a position.
    async fn advance(&self, position: i64) -> Result<(), Paused> {
        if !repo::advance(&mut *self.db.conn().await?, self.name, self.server, position).await? {
            return Err(Paused::Ended(Ended::Taken));
        }
        self.known().position = position;
        Ok(())
    }

    /// Events that were dropped while the broker was away cannot be sent any more.
    async fn leave_out_what_is_forgotten(&self) -> Result<(), Paused> {
        let (forgotten_to, position) = (self.events.forgotten_to().await?, self.known().position);
        if position < forgotten_to {
            tracing::error!(
                broker = self.name,
                up_to_events = forgotten_to - position,
                "events were too old to be kept before the broker had them: it goes on without them"
            );
            self.advance(forgotten_to).await?;
        }
        Ok(())
    }

    async fn is_up(&self) -> Result<(), Ended> {
        {
            let mut known = self.known();
            if known.condition.connected {
                return Ok(());
            }
            known.condition = Condition { connected: true, last_error: known.condition.last_error.take() };
            let how = if known.is_told { "is back" } else { "is fed by this server" };
            tracing::info!(broker = self.name, "the broker {how}");
            known.is_told = false;
        }
        metrics::gauge!("stockhold_broker_up", "broker" => self.name).set(1.0);
        self.tell().await
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

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
