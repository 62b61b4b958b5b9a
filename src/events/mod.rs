//! The outbox: what happened, written in the transaction in which it happened, and the feed that reads it.
//!
//! # Order
//! The feed is in the order of `id`. An id is drawn while the writer holds the locks of what it
//! changed, so two events of one subject have ids in the order of their commits.
//!
//! # No gaps
//! Ids are drawn before commits, so a lower one can become visible after a higher one. Readers
//! therefore stop at a [`horizon`].
//!
//! # Live
//! One [`tail`] per process reads what is new, once for all who follow.

mod catalogue;
mod cursor;
mod filter;
mod follower;
mod horizon;
mod http;
mod repo;
mod tail;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::clock::Timestamp;
use crate::platform::db::{Db, Writes};
use crate::platform::id;
use crate::platform::problem::Problem;

pub use catalogue::{CATALOGUE, Kind};
pub use cursor::Cursor;
pub use filter::{Filter, FilterQuery};
pub use follower::{Follower, Taken};
pub use http::router;
pub use tail::{News, PAUSE};

use cursor::History;
use horizon::Horizon;
use tail::Tail;

/// Something that happened to a subject (`products/TEA-1`, `orders/0193…`).
#[derive(Clone, Debug)]
pub struct Event {
    pub r#type: &'static str,
    pub subject: String,
    /// JSON
    data: String,
}

impl Event {
    pub fn new<T: Serialize>(r#type: &'static str, subject: String, data: &T) -> Self {
        let data = serde_json::to_string(data).expect("event data are plain data");
        Self { r#type, subject, data }
    }
}

/// An event as the feed shows it: a CloudEvent 1.0.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PublishedEvent {
    pub id: Uuid,
    /// Always "1.0"
    pub specversion: &'static str,
    /// Always "/stockhold"
    pub source: &'static str,
    #[schema(example = "stock.level_changed")]
    pub r#type: String,
    pub time: Timestamp,
    #[schema(example = "products/TEA-1")]
    pub subject: String,
    /// Position in the feed; later events compare greater
    #[schema(example = "00000000000000000042")]
    pub sequence: String,
    pub data: Value,
    #[serde(skip)]
    pub position: i64,
}

/// A stretch of the feed.
#[derive(Debug)]
pub struct Stretch {
    pub events: Vec<PublishedEvent>,
    /// How far was read: what follows comes after it
    pub position: i64,
    /// Whether that is all there is for now
    pub is_all: bool,
}

#[derive(Clone)]
pub struct Events {
    db: Db,
    horizon: Arc<Horizon>,
    history: Arc<History>,
    tail: Arc<Tail>,
    /// Places for readers of the live feed
    streams: Arc<Semaphore>,
}

/// Ids left out after a restore: more than any shop draws between a backup and the fault that made it wanted.
const MORE_THAN_A_BACKUP_MISSES: i64 = 1_000_000_000;

/// Read at once where a filter may let little of it pass.
const WINDOW: i64 = 1000;

/// How long a reader whose filter lets little pass is kept waiting for it.
const BUDGET: Duration = Duration::from_millis(500);

/// Partitions are made this long ahead, should no server run meanwhile.
const DAYS_AHEAD: i32 = 7;

impl Events {
    /// `streams` is how many may follow the live feed at once.
    pub fn new(db: Db, streams: usize) -> Self {
        let streams = Arc::new(Semaphore::new(streams.min(Semaphore::MAX_PERMITS)));
        Self { db, horizon: Arc::default(), history: Arc::default(), tail: Arc::default(), streams }
    }

    /// Writes events into the caller's transaction: one statement, whatever their number. Call it when
    /// every lock is held.
    pub async fn publish_in_tx(conn: &mut PgConnection, events: &[Event]) -> sqlx::Result<()> {
        let mut writes = Writes::default();
        Self::publish_with(&mut writes, events);
        writes.write_out(conn).await
    }

    /// The same with what else is written. To be called once for these, for the events of one call alone are in order.
    pub fn publish_with(writes: &mut Writes, events: &[Event]) {
        if !events.is_empty() {
            let ids: Vec<Uuid> = events.iter().map(|_| id::new()).collect();
            repo::insert(writes, &ids, events);
        }
    }

    /// The position up to which the feed is final, as far as is known at once: whatever is seen from now on has all up
    /// to it.
    pub async fn position(&self) -> sqlx::Result<i64> {
        self.horizon.within(horizon::PATIENCE, &self.db).await
    }

    /// The same without waiting for what is in flight: for those who look again soon.
    async fn position_now(&self) -> sqlx::Result<i64> {
        self.horizon.within(Duration::ZERO, &self.db).await
    }

    /// The same for a process that has just begun, and knows nothing final until all that is in flight has ended.
    pub async fn settled_position(&self) -> sqlx::Result<i64> {
        self.horizon.within(Duration::from_secs(30), &self.db).await
    }

    /// The same as readers keep it.
    pub async fn cursor(&self) -> sqlx::Result<Cursor> {
        let position = self.position().await?;
        self.cursor_at(position).await
    }

    pub async fn cursor_at(&self, position: i64) -> sqlx::Result<Cursor> {
        let present = self.history().await?.iter().find(|past| past.ended_at.is_none());
        let feed = present.ok_or(sqlx::Error::RowNotFound)?.feed;
        Ok(Cursor { feed, position })
    }

    /// Where a reader goes on that has this cursor, or begins that has none; refuses one that would miss something.
    pub async fn resume(&self, cursor: Option<&str>) -> Result<i64, Problem> {
        let cursor = cursor.map(Cursor::decode).transpose()?;
        // What was forgotten is read anew each time: it grows.
        let pasts = repo::history(&mut *self.db.conn().await?).await?;
        cursor::resume(&pasts, cursor)
    }

    /// Up to here, events were too old to be kept.
    pub async fn forgotten_to(&self) -> sqlx::Result<i64> {
        let pasts = repo::history(&mut *self.db.conn().await?).await?;
        Ok(pasts.iter().map(|past| past.forgotten_to).max().unwrap_or(0))
    }

    async fn history(&self) -> sqlx::Result<&[cursor::Past]> {
        if self.history.get().is_none() {
            let read = repo::history(&mut *self.db.conn().await?).await?;
            let _ = self.history.set(read); // whoever was first read the same
        }
        Ok(self.history.get().expect("it was just set"))
    }

    /// Up to `limit` events after `position` that a filter wants.
    pub async fn read(&self, position: i64, limit: usize, filter: &Filter) -> sqlx::Result<Stretch> {
        let horizon = self.position().await?;
        let begun = Instant::now();
        let mut stretch = Stretch { events: Vec::new(), position, is_all: true };
        while stretch.position < horizon {
            if stretch.events.len() >= limit || begun.elapsed() > BUDGET {
                stretch.is_all = false;
                break;
            }
            let left = i64::try_from(limit - stretch.events.len()).unwrap_or(WINDOW);
            let window = if filter.is_open() { left.min(WINDOW) } else { WINDOW };
            let read = repo::read(&mut *self.db.conn().await?, stretch.position, horizon, window).await?;
            let is_last = i64::try_from(read.len()).is_ok_and(|n| n < window);
            let mut is_full = false;
            for event in read {
                is_full = stretch.events.len() >= limit;
                if is_full {
                    break;
                }
                stretch.position = event.position;
                if filter.wants(&event) {
                    stretch.events.push(event);
                }
            }
            if is_last && !is_full {
                stretch.position = horizon;
            }
        }
        Ok(stretch)
    }

    /// After a restore, in its transaction. `final_at` is the position up to which the backup has all that readers may
    /// have seen: who read further is told so. Ids go on far beyond any that was drawn since, so that nothing new is taken
    /// for what was lost. An event tells followers why.
    pub async fn resume_in_tx(&self, conn: &mut PgConnection, taken_at: &str, final_at: i64) -> sqlx::Result<()> {
        repo::skip_ids(conn, MORE_THAN_A_BACKUP_MISSES).await?;
        repo::begin_anew(conn, final_at).await?;
        let data = json!({ "backup_taken_at": taken_at });
        Self::publish_in_tx(conn, &[Event::new("instance.restored", "instance".to_owned(), &data)]).await
    }

    /// Makes the days that come, and drops those whose events are older than `keep_days` (0: none). Says whether there may
    /// be more to drop. As the owner of the table.
    pub async fn turn_days(&self, keep_days: i32) -> sqlx::Result<bool> {
        let mut conn = self.db.owner_conn().await?;
        let more = repo::turn_days(&mut conn, DAYS_AHEAD, keep_days).await?;
        conn.close().await?;
        Ok(more)
    }
}

#[cfg(test)]
impl PublishedEvent {
    pub fn for_test(r#type: &str, subject: &str, data: Value) -> Self {
        let time = Timestamp::now();
        let (r#type, subject, sequence) = (r#type.to_owned(), subject.to_owned(), String::new());
        let (specversion, source) = ("1.0", "/stockhold");
        Self { id: Uuid::nil(), specversion, source, r#type, time, subject, sequence, data, position: 0 }
    }
}
