//! How far the feed may be read: the *horizon*, an id up to which nothing is still in flight.
//!
//! It is found from two observations: first the last id drawn, `v`, together with a fresh transaction id `x`; whoever
//! drew an id up to `v` had its own transaction id before that, hence below `x` (the outbox's first column sees to it).
//! Then, once `pg_snapshot_xmin` has reached `x`, all of those have ended, and ids up to `v` are final.
//!
//! # A crash of Postgres
//! What a transaction draws is certain to outlast a crash only once it has committed. Were the horizon to pass an id whose
//! writer rolled back, the sequence could fall back behind it, and the next writer get an id that readers
//! have left behind. So `x` is taken by a statement whose commit waits for the disk: with it, `v` is on disk too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::repo;
use crate::platform::db::Db;

/// How long to wait for transactions in flight before what is final has to do.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// Between two looks at who is still in flight.
const LOOK: Duration = Duration::from_millis(5);

/// Between two observations, while somebody waits.
const OBSERVE: Duration = Duration::from_millis(40);

/// So old may be what a follower goes by.
const LATELY: Duration = Duration::from_millis(60);

/// The horizon as this process knows it.
#[derive(Default)]
pub struct Horizon(Mutex<Known>);

impl Horizon {
    /// The horizon as somebody brought it forward [`LATELY`]: for those who look again and again, and do so beside others.
    pub async fn lately(&self, db: &Db) -> sqlx::Result<i64> {
        let known = self.0.lock().await;
        if known.looked.is_some_and(|at| at.elapsed() < LATELY) {
            return Ok(known.final_at);
        }
        drop(known);
        self.within(Duration::ZERO, db).await
    }

    /// The horizon, as far as it can be brought in that time.
    pub async fn within(&self, patience: Duration, db: &Db) -> sqlx::Result<i64> {
        let deadline = tokio::time::Instant::now() + patience;
        // One reader looks for all: the others wait here, without holding a connection.
        let mut known = self.0.lock().await;
        known.looked = Some(Instant::now());
        let mut conn = db.conn().await?;
        let drawn = repo::last_drawn(&mut conn).await?;
        if drawn <= known.final_at {
            return Ok(known.final_at);
        }
        let mut latest = drawn;
        known.observe(drawn, repo::durable_marker(&mut conn).await?, Instant::now());
        loop {
            let final_at = known.advance(repo::oldest_in_flight(&mut conn).await?);
            if final_at >= drawn || tokio::time::Instant::now() >= deadline {
                return Ok(final_at);
            }
            tokio::time::sleep(LOOK).await;
            // What comes meanwhile is observed too, or it would only then begin to wait.
            if known.observed.is_none_or(|at| at.elapsed() >= OBSERVE) {
                latest = latest.max(repo::last_drawn(&mut conn).await?);
                known.observe(latest, repo::durable_marker(&mut conn).await?, Instant::now());
            }
        }
    }

    /// For how long the feed has been held back by a transaction that does not end.
    pub async fn lag(&self) -> Duration {
        self.0.lock().await.lag()
    }
}

/// Which ids are final. Pure: it is told what was observed.
#[derive(Debug, Default)]
struct Known {
    final_at: i64,
    /// What waits to become final: the last id drawn, the transaction id after it, and when that was seen
    pending: VecDeque<(i64, i64, Instant)>,
    observed: Option<Instant>,
    looked: Option<Instant>,
}

/// More observations than this tell nothing new.
const MAX_PENDING: usize = 256;

impl Known {
    /// All who drew an id up to `drawn` have transaction ids below `marker`.
    fn observe(&mut self, drawn: i64, marker: i64, at: Instant) {
        self.observed = Some(at);
        if drawn > self.final_at && self.pending.len() < MAX_PENDING {
            self.pending.push_back((drawn, marker, at));
        }
    }

    /// Nothing below transaction id `oldest` is in flight any more.
    fn advance(&mut self, oldest: i64) -> i64 {
        while let Some(&(drawn, marker, _)) = self.pending.front() {
            if marker > oldest {
                break;
            }
            self.final_at = self.final_at.max(drawn);
            self.pending.pop_front();
        }
        self.final_at
    }

    fn lag(&self) -> Duration {
        self.pending.front().map_or(Duration::ZERO, |(_, _, at)| at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_waits_for_older_transactions() {
        let (mut known, now) = (Known::default(), Instant::now());
        known.observe(10, 100, now);
        assert_eq!(known.advance(99), 0);
        known.observe(20, 105, now);
        assert_eq!(known.advance(100), 10);
        assert_eq!(known.advance(104), 10);
        assert!(known.lag() > Duration::ZERO);
        assert_eq!(known.advance(200), 20);
        assert_eq!(known.lag(), Duration::ZERO);
    }
}
