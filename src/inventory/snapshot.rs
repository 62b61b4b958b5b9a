//! All stock of one moment, read as fast as a client takes it.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgConnection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::events::Quantities;
use super::{Inventory, repo};
use crate::platform::clock::Timestamp;
use crate::platform::problem::{OVERLOADED, Problem};

/// How many may read one at once: each has a connection, and holds a moment of the database.
pub const AT_ONCE: usize = 2;

/// Nobody holds a moment of the database longer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Levels read at once.
const PIECE: i64 = 1000;

/// A line of a snapshot; the first has the cursor, the last says that it is whole
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "line", rename_all = "snake_case")]
#[schema(example = json!({
    "line": "level", "sku": "TEA-1", "warehouse": "LONDON", "on_hand": 20, "damaged": 0, "quality_control": 0,
    "quarantined": 0, "reserved": 2, "allocated": 3, "incoming": 10, "safety_stock": 0, "reorder_point": 5, "available": 15
}))]
pub enum Line {
    Begin {
        /// Go on from here with `GET /v1/events?after=`
        cursor: String,
        taken_at: Timestamp,
    },
    Level {
        sku: String,
        warehouse: String,
        #[serde(flatten)]
        level: Quantities,
    },
    End {
        /// How many there were
        levels: u64,
    },
}

/// A moment, and how far it was read.
pub struct Snapshot {
    conn: PgConnection,
    begun: Instant,
    next: Next,
    _place: OwnedSemaphorePermit,
}

enum Next {
    Begin { cursor: String, taken_at: Timestamp },
    Levels { after: (String, String), count: u64 },
    Nothing,
}

impl Inventory {
    /// The stock as it is now. Its cursor is taken before: the events after it may be in the snapshot already, and
    /// as they say what a level is, and not by how much it changed, it does no harm to read them again.
    pub async fn snapshot(&self) -> Result<Snapshot, Problem> {
        let place = self.snapshots.clone().try_acquire_owned().map_err(|_| {
            Problem::new(&OVERLOADED, format!("{AT_ONCE} snapshots are being read; try again when one is done"))
        })?;
        let cursor = self.events.cursor().await?.encode();
        let conn = self.db.snapshot_apart().await?;
        let next = Next::Begin { cursor, taken_at: Timestamp::now() };
        Ok(Snapshot { conn, begun: Instant::now(), next, _place: place })
    }
}

impl Snapshot {
    /// The next lines; none at the end.
    pub async fn next(&mut self) -> sqlx::Result<Vec<Line>> {
        if self.begun.elapsed() > PATIENCE {
            return Err(sqlx::Error::PoolTimedOut);
        }
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Begin { cursor, taken_at } => {
                self.next = Next::Levels { after: Default::default(), count: 0 };
                Ok(vec![Line::Begin { cursor, taken_at }])
            }
            Next::Levels { after, count } => {
                let levels = repo::levels::page(&mut self.conn, (&after.0, &after.1), PIECE).await?;
                let count = count + levels.len() as u64;
                let Some((sku, warehouse, _)) = levels.last() else { return Ok(vec![Line::End { levels: count }]) };
                self.next = Next::Levels { after: (sku.clone(), warehouse.clone()), count };
                let lines = levels.into_iter();
                Ok(lines.map(|(sku, warehouse, level)| Line::Level { sku, warehouse, level: level.into() }).collect())
            }
            Next::Nothing => Ok(Vec::new()),
        }
    }
}
