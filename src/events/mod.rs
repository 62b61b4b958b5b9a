//! The outbox: what happened, written in the transaction in which it happened, and the feed that reads it.
//!
//! # Order
//! The feed is in the order of `id`. An id is drawn while the writer holds the locks of what it
//! changed, so two events of one subject have ids in the order of their commits.
//!
//! # No gaps
//! Ids are drawn before commits, so a lower one can become visible after a higher one. Readers
//! therefore stop at a *horizon*: an id below which nothing is still in flight. It is found from two
//! observations: first the last id drawn, `v`, together with a fresh transaction id `x`; whoever drew
//! an id up to `v` had its own transaction id before that, hence below `x` (the outbox's first column
//! sees to it). Then, once `pg_snapshot_xmin` has reached `x`, all of those have ended, and ids up
//! to `v` are final.

mod http;
mod repo;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use tokio::sync::Mutex;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::clock::Timestamp;
use crate::platform::db::Db;
use crate::platform::id;

pub use http::router;

/// Something that happened to a subject (`products/TEA-1`, `orders/0193…`).
#[derive(Clone, Debug)]
pub struct Event {
    pub r#type: &'static str,
    pub subject: String,
    pub data: Value,
}

impl Event {
    pub fn new<T: Serialize>(r#type: &'static str, subject: String, data: &T) -> Self {
        let data = serde_json::to_value(data).expect("event data are plain data");
        Self { r#type, subject, data }
    }
}

/// An event as the feed shows it: a CloudEvent 1.0.
#[derive(Debug, Serialize, ToSchema)]
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
    position: i64,
}

/// A stretch of the feed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Feed {
    pub items: Vec<PublishedEvent>,
    /// Pass as `after` to go on from here; it is never null, for the feed never ends
    pub next_cursor: String,
}

#[derive(Clone)]
pub struct Events {
    db: Db,
    horizon: Arc<Mutex<Horizon>>,
}

/// How long a call waits for transactions in flight before it answers with what is final.
const PATIENCE: Duration = Duration::from_millis(200);

impl Events {
    pub fn new(db: Db) -> Self {
        Self { db, horizon: Arc::default() }
    }

    /// Writes events into the caller's transaction: one statement, whatever their number. Call it when
    /// every lock is held.
    pub async fn publish_in_tx(conn: &mut PgConnection, events: &[Event]) -> sqlx::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = events.iter().map(|_| id::new()).collect();
        repo::insert(conn, &ids, events).await
    }

    /// Up to `limit` events after position `after`, of these types or of all.
    async fn read(&self, after: i64, limit: i64, types: Option<&[String]>) -> sqlx::Result<(Vec<PublishedEvent>, i64)> {
        let horizon = self.horizon_now().await?;
        let mut conn = self.db.conn().await?;
        let items = repo::read(&mut conn, after, horizon, limit, types).await?;
        let full = i64::try_from(items.len()).is_ok_and(|n| n == limit);
        let position = match items.last() {
            Some(last) if full => last.position,
            _ => horizon.max(after),
        };
        Ok((items, position))
    }

    /// The horizon, as far as it can be brought within [`PATIENCE`].
    async fn horizon_now(&self) -> sqlx::Result<i64> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        // One reader looks for all: the others wait here, without holding a connection.
        let mut horizon = self.horizon.lock().await;
        let mut conn = self.db.conn().await?;
        let (drawn, marker) = repo::last_drawn(&mut conn).await?;
        horizon.observe(drawn, marker);
        loop {
            let final_at = horizon.advance(repo::oldest_in_flight(&mut conn).await?);
            if final_at >= drawn || tokio::time::Instant::now() >= deadline {
                return Ok(final_at);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Which ids are final. Pure: it is told what was observed.
#[derive(Debug, Default)]
struct Horizon {
    final_at: i64,
    pending: VecDeque<(i64, i64)>,
}

/// More observations than this tell nothing new.
const MAX_PENDING: usize = 256;

impl Horizon {
    /// All who drew an id up to `drawn` have transaction ids below `marker`.
    fn observe(&mut self, drawn: i64, marker: i64) {
        if drawn > self.final_at && self.pending.len() < MAX_PENDING {
            self.pending.push_back((drawn, marker));
        }
    }

    /// Nothing below transaction id `oldest` is in flight any more.
    fn advance(&mut self, oldest: i64) -> i64 {
        while let Some(&(drawn, marker)) = self.pending.front() {
            if marker > oldest {
                break;
            }
            self.final_at = self.final_at.max(drawn);
            self.pending.pop_front();
        }
        self.final_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_waits_for_older_transactions() {
        let mut horizon = Horizon::default();
        horizon.observe(10, 100);
        assert_eq!(horizon.advance(99), 0);
        horizon.observe(20, 105);
        assert_eq!(horizon.advance(100), 10);
        assert_eq!(horizon.advance(104), 10);
        assert_eq!(horizon.advance(200), 20);
    }
}
