//! Holds with a time-to-live: `active → committed | released | expired`.
//!
//! What a reservation holds stands in inventory; this module keeps its life.
//!
//! **Invariant:** a reservation ends exactly once. Every end locks the products first, then takes the
//! holds, then changes the row under the condition that it is still active; who comes second finds
//! nothing to change and rolls back.
//!
//! **Invariant:** expiry is a predicate on the database's clock. The sweeper only cleans up, and tells.

mod error;
mod events;
mod http;
mod model;
mod repo;

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::events::{Event, Events};
use crate::inventory::{Allocate, Inventory};
use crate::platform::clock::Timestamp;
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};

pub use error::Error;
pub use http::router;
pub use model::{NewReservation, Reservation, ReservationLine, Status};

use model::Filter;

/// Expired reservations ended in one transaction.
const SWEEP_STRETCH: i64 = 200;

/// The most reservations that one owner may have alive.
pub const MAX_LIVE_PER_OWNER: i64 = 100;

#[derive(Clone)]
pub struct Reservations {
    db: Db,
    inventory: Inventory,
}

type Result<T> = std::result::Result<T, Error>;

impl Reservations {
    pub fn new(db: Db, inventory: Inventory) -> Self {
        Self { db, inventory }
    }

    /// Makes each reservation on its own, in order: one that cannot be met does not fail its neighbours.
    async fn create_in_tx(
        &self,
        conn: &mut PgConnection,
        requests: &[NewReservation],
    ) -> Result<Vec<Result<Reservation>>> {
        let refusals = self.refusals(conn, requests).await?;
        let accepted: Vec<&NewReservation> = requests
            .iter()
            .zip(&refusals)
            .filter(|(_, refusal)| refusal.is_none())
            .map(|(request, _)| request)
            .collect();
        let holds: Vec<_> = accepted.iter().map(|request| request.hold(id::new())).collect();
        let held = self.inventory.hold_in_tx(conn, &holds).await?;
        let mut made = Vec::new();
        let mut outcomes = Vec::new();
        for ((request, hold), outcome) in accepted.into_iter().zip(&holds).zip(held) {
            outcomes.push(outcome.map_err(Error::from).map(|held| {
                made.push(Reservation::new(hold.reservation_id, request, &held));
                made.len() - 1
            }));
        }
        self.end_replaced(conn, &holds, &outcomes).await?;
        repo::insert(conn, &made).await?;
        Events::publish_in_tx(conn, &made.iter().map(|r| events::of("reservation.created", r)).collect::<Vec<_>>())
            .await?;
        let mut outcomes = outcomes.into_iter();
        let woven = refusals.into_iter().map(|refusal| match refusal {
            Some(error) => Err(error),
            None => outcomes.next().expect("one for each accepted request").map(|n| made[n].clone()),
        });
        Ok(woven.collect())
    }

    /// What can be refused before stock is looked at: too many holds, and replacing what is not the owner's.
    async fn refusals(&self, conn: &mut PgConnection, requests: &[NewReservation]) -> Result<Vec<Option<Error>>> {
        let mut owners: Vec<String> = requests.iter().filter_map(|r| r.owner.clone()).collect();
        owners.sort_unstable();
        owners.dedup();
        let mut live = repo::lock_owners_and_count(conn, &owners).await?;
        let replaced: Vec<Uuid> = requests.iter().filter_map(|r| r.replace).collect();
        let replaced = if replaced.is_empty() { Vec::new() } else { repo::find_many(conn, &replaced).await? };
        let mut taken = HashSet::new();
        let refusals = requests.iter().map(|request| {
            if let Some(error) = request.refuse_replacing(&replaced) {
                return Some(error);
            }
            // One that is replaced makes room, if it is alive and nobody took its place yet.
            let place = replaced.iter().find(|old| Some(old.id) == request.replace && old.status == Status::Active);
            let makes_room = place.is_some_and(|old| taken.insert(old.id));
            let count = live.entry(request.owner.clone()?).or_default();
            *count += i64::from(!makes_room);
            (*count > MAX_LIVE_PER_OWNER).then(|| Error::TooManyHolds(MAX_LIVE_PER_OWNER))
        });
        Ok(refusals.collect())
    }

    /// Ends what was replaced. One that was committed meanwhile has sold its stock: the whole call fails then.
    async fn end_replaced(
        &self,
        conn: &mut PgConnection,
        holds: &[crate::inventory::HoldRequest],
        outcomes: &[Result<usize>],
    ) -> Result<()> {
        let replaced = holds.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok());
        let replaced: Vec<Uuid> = replaced.filter_map(|(hold, _)| hold.replaces).collect();
        if replaced.is_empty() {
            return Ok(());
        }
        let ended = repo::end(conn, &replaced, Status::Released).await?;
        let expired = repo::end_expired(conn, &replaced).await?;
        let committed = repo::find_many(conn, &replaced).await?.into_iter().find(|r| r.status == Status::Committed);
        if let Some(reservation) = committed {
            return Err(Error::Ended(reservation.status));
        }
        let mut published: Vec<_> = ended.iter().map(|r| events::of("reservation.released", r)).collect();
        published.extend(expired.iter().map(|r| events::of("reservation.expired", r)));
        Ok(Events::publish_in_tx(conn, &published).await?)
    }

    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<Reservation>> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list(&mut conn, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    async fn get(&self, id: Uuid) -> Result<Reservation> {
        self.get_in_tx(&mut *self.db.conn().await?, id).await
    }

    async fn get_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Reservation> {
        repo::find_many(conn, &[id]).await?.pop().ok_or(Error::NotFound(id))
    }

    /// Lets it live `ttl_seconds` from now; never shorter than it would anyway.
    async fn extend_in_tx(&self, conn: &mut PgConnection, id: Uuid, ttl_seconds: i64) -> Result<Reservation> {
        let reservation = self.get_in_tx(conn, id).await?;
        let expires_at = repo::clock(conn).await?.plus_seconds(ttl_seconds);
        let all_there = self.inventory.extend_in_tx(conn, id, expires_at, reservation.hold_rows()).await?;
        let extended = repo::extend(conn, id, expires_at).await?;
        if !all_there || !extended {
            return Err(Error::Ended(self.get_in_tx(conn, id).await?.ended_status()));
        }
        let extended = self.get_in_tx(conn, id).await?;
        Events::publish_in_tx(conn, &[events::of("reservation.extended", &extended)]).await?;
        Ok(extended)
    }

    /// Gives the stock back. Releasing twice is fine; releasing what was committed or has expired is not.
    async fn release_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<()> {
        match self.get_in_tx(conn, id).await?.status {
            Status::Released => return Ok(()),
            Status::Active => {}
            ended => return Err(Error::Ended(ended)),
        }
        self.inventory.release_in_tx(conn, &[id]).await?;
        match repo::end(conn, &[id], Status::Released).await?.pop() {
            Some(released) => Ok(Events::publish_in_tx(conn, &[events::of("reservation.released", &released)]).await?),
            None => match self.get_in_tx(conn, id).await?.ended_status() {
                Status::Released => Ok(()),
                ended => Err(Error::Ended(ended)),
            },
        }
    }

    /// The reservation that an order is to be made from; refused when it has ended.
    pub async fn to_commit(&self, conn: &mut PgConnection, id: Uuid) -> Result<Reservation> {
        let reservation = self.get_in_tx(conn, id).await?;
        match reservation.status {
            Status::Active => Ok(reservation),
            ended => Err(Error::Ended(ended)),
        }
    }

    /// Turns its holds into promises to the lines of an order: `order.lines[n]` is made from its line `n`.
    /// Idempotent by the order: a reservation is committed once.
    /// Returns news to publish once the order is.
    pub async fn commit_in_tx(&self, conn: &mut PgConnection, id: Uuid, order: &Allocate) -> Result<Vec<Event>> {
        let news = self.inventory.commit_hold_in_tx(conn, id, order).await?;
        match repo::commit(conn, id, order.order_id).await? {
            Some(committed) => {
                Events::publish_in_tx(conn, &[events::of("reservation.committed", &committed)]).await?;
                Ok(news)
            }
            None => Err(Error::Ended(self.get_in_tx(conn, id).await?.ended_status())),
        }
    }

    /// Ends some of the reservations that are due, and publishes it. True when there may be more.
    pub async fn expire_due(&self) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let due = repo::due(&mut tx, SWEEP_STRETCH).await?;
        if due.is_empty() {
            return Ok(false);
        }
        self.inventory.release_expired_in_tx(&mut tx, &due).await?;
        let expired = repo::end_expired(&mut tx, &due).await?;
        let published: Vec<_> = expired.iter().map(|r| events::of("reservation.expired", r)).collect();
        Events::publish_in_tx(&mut tx, &published).await?;
        tx.commit().await?;
        metrics::counter!("stockhold_reservations_expired_total").increment(expired.len() as u64);
        Ok(!expired.is_empty())
    }

    /// What the reservations that are alive hold, by (reservation, product), and the time by which that was
    /// judged: later than the snapshot it is read in, so that what that shows as given up has expired.
    pub async fn held(
        &self,
        conn: &mut PgConnection,
    ) -> Result<(Timestamp, std::collections::BTreeMap<(Uuid, String), i64>)> {
        let at = repo::clock(conn).await?;
        Ok((at, repo::held(conn, at).await?))
    }
}
