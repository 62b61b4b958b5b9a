//! Followers inside the server: each has a stored position, and what it does with an event is done once.

use sqlx::PgConnection;

use super::{Events, PublishedEvent, repo};
use crate::platform::clock::Timestamp;

/// Positions that are looked through at once for events of some types.
const SCANNED_AT_ONCE: i64 = 50_000;

/// A stretch of the feed that a follower takes. It is taken when the caller's transaction commits, with all that the
/// follower did of it.
pub struct Taken {
    pub events: Vec<PublishedEvent>,
    /// How far the follower is then
    pub position: i64,
    pub more: bool,
}

impl Events {
    /// The next events for a follower, of these types alone where any are named; a fixed number of statements. None where
    /// another server is working for it. A follower that is new begins now.
    pub async fn take_in_tx(
        &self,
        conn: &mut PgConnection,
        follower: &str,
        types: Option<&[&str]>,
        horizon: i64,
        limit: i64,
    ) -> sqlx::Result<Option<Taken>> {
        let Some(from) = repo::lock_follower(conn, follower, horizon).await? else { return Ok(None) };
        // Of some types there may be none for long.
        let up_to = if types.is_some() { horizon.min(from.saturating_add(SCANNED_AT_ONCE)) } else { horizon };
        let events = repo::read(conn, from, up_to, types, limit).await?;
        let is_full = i64::try_from(events.len()).is_ok_and(|n| n == limit);
        let more = is_full || up_to < horizon;
        let position = events.last().filter(|_| is_full).map_or(up_to.max(from), |last| last.position);
        if position != from {
            repo::move_follower(conn, follower, position).await?;
        }
        Ok(Some(Taken { events, position, more }))
    }

    /// Lets a follower begin now: what was before is nothing to it.
    pub async fn skip_in_tx(&self, conn: &mut PgConnection, follower: &str, horizon: i64) -> sqlx::Result<()> {
        repo::move_follower(conn, follower, horizon).await
    }

    /// Forgets a follower. Should it come again, it begins then.
    pub async fn leave_in_tx(&self, conn: &mut PgConnection, follower: &str) -> sqlx::Result<()> {
        repo::delete_follower(conn, follower).await
    }

    /// The position before the first event of a time or after it; the end of the feed where there is none.
    pub async fn position_before(&self, time: Timestamp) -> sqlx::Result<i64> {
        let horizon = self.position().await?;
        let first = repo::position_at(&mut *self.db.conn().await?, time).await?;
        Ok(first.map_or(horizon, |first| horizon.min(first - 1)))
    }
}
