//! Followers inside the server: each has a stored position, and what it does with an event is done once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::{Events, PublishedEvent, repo};
use crate::platform::clock::Timestamp;

/// Positions that are looked through at once for events of some types.
const SCANNED_AT_ONCE: i64 = 50_000;

/// A follower that finds nothing stores how far it looked no more often than this.
const STORE: Duration = Duration::from_secs(5);

/// Follows the feed under a name, in one of the servers at a time.
pub struct Follower {
    name: &'static str,
    /// What it is told of, where that is not all
    rare: Option<&'static [&'static str]>,
    /// How far this server has seen it come
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    position: i64,
    stored: Instant,
    /// It has come further since
    is_further: bool,
}

impl Follower {
    /// Is told of everything.
    pub fn of_all(name: &'static str) -> Self {
        Self { name, rare: None, seen: Mutex::default() }
    }

    /// Is told of events of these types, none of them of stock or of reservations.
    pub fn of_rare(name: &'static str, types: &'static [&'static str]) -> Self {
        let is_rare = |kind: &&str| !kind.starts_with("stock.") && !kind.starts_with("reservation.");
        assert!(types.iter().all(is_rare), "{name}: what is of stock or of reservations is not rare");
        Self { name, rare: Some(types), seen: Mutex::default() }
    }

    /// To be called when the transaction has committed in which a stretch was taken. Says whether there is more.
    pub fn has_taken(&self, taken: &Taken) -> bool {
        *self.seen() = Some(Seen { position: taken.position, stored: Instant::now(), is_further: false });
        taken.more
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stretch of the feed that a follower takes. It is taken when the caller's transaction commits, with all that the
/// follower did of it.
pub struct Taken {
    pub events: Vec<PublishedEvent>,
    /// How far the follower is then
    position: i64,
    more: bool,
}

impl Events {
    /// Up to which position a follower may take, if there may be something for it. It costs next to nothing where there is
    /// not, however much else happens.
    pub async fn ahead_of(&self, follower: &Follower) -> sqlx::Result<Option<i64>> {
        let horizon = self.horizon.lately(&self.db).await?;
        // Where it is has to be looked up, or it has to begin.
        let Some(seen) = *follower.seen() else { return Ok(Some(horizon)) };
        let is_to_store = seen.is_further && seen.stored.elapsed() >= STORE;
        if horizon <= seen.position && !is_to_store {
            return Ok(None);
        }
        let Some(types) = follower.rare.filter(|_| !is_to_store) else { return Ok(Some(horizon)) };
        if repo::is_any_rare(&mut *self.db.conn().await?, seen.position, horizon, types).await? {
            return Ok(Some(horizon));
        }
        *follower.seen() = Some(Seen { position: horizon, is_further: true, ..seen });
        Ok(None)
    }

    /// The next events for a follower; a fixed number of statements. None where another server is working for it. A follower
    /// that is new begins now.
    pub async fn take_in_tx(
        &self,
        conn: &mut PgConnection,
        follower: &Follower,
        horizon: i64,
        limit: i64,
    ) -> sqlx::Result<Option<Taken>> {
        let name = follower.name;
        let Some(from) = repo::lock_follower(conn, name, horizon).await? else { return Ok(None) };
        let (events, up_to) = match follower.rare {
            None => (repo::read(conn, from, horizon, limit).await?, horizon),
            Some(types) => {
                // Of some types there may be none for long.
                let up_to = horizon.min(from.saturating_add(SCANNED_AT_ONCE));
                (repo::read_rare(conn, from, up_to, types, limit).await?, up_to)
            }
        };
        let is_full = i64::try_from(events.len()).is_ok_and(|n| n == limit);
        let more = is_full || up_to < horizon;
        let position = events.last().filter(|_| is_full).map_or(up_to.max(from), |last| last.position);
        if position != from {
            repo::move_follower(conn, name, position).await?;
        }
        Ok(Some(Taken { events, position, more }))
    }

    /// Lets a follower begin now: what was before is nothing to it.
    pub async fn skip_in_tx(&self, conn: &mut PgConnection, follower: &Follower, horizon: i64) -> sqlx::Result<()> {
        repo::move_follower(conn, follower.name, horizon).await
    }

    /// Forgets a follower. Should it come again, it begins then.
    pub async fn leave_in_tx(&self, conn: &mut PgConnection, follower: &Follower) -> sqlx::Result<()> {
        repo::delete_follower(conn, follower.name).await
    }

    /// The position before the first event of a time or after it; the end of the feed where there is none.
    pub async fn position_before(&self, time: Timestamp) -> sqlx::Result<i64> {
        let horizon = self.position().await?;
        let first = repo::position_at(&mut *self.db.conn().await?, time).await?;
        Ok(first.map_or(horizon, |first| horizon.min(first - 1)))
    }
}
