//! Holds with a time-to-live: `active → committed | released | expired`.
//!
//! What a reservation holds stands in inventory; this module keeps its life.
//!
//! **Invariant:** a reservation ends exactly once. Every end, and every extension, locks the products first, then looks
//! at the holds, then changes the row; who comes second finds nothing to change.
//!
//! **Invariant:** expiry is a predicate on the database's clock. The sweeper only cleans up, and tells.

mod error;
mod events;
mod http;
mod model;
mod repo;

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::Limits;
use crate::events::{Event, Events};
use crate::inventory::{Allocate, Committed, HeldBy, Inventory, Locked};
use crate::platform::clock::Timestamp;
use crate::platform::db::{Answers, Asked, Db, Reads, Writes};
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};
use crate::platform::sift::sift;

pub use error::Error;
pub use http::router;
pub use model::{NewReservation, NewReservationLine, Reservation, ReservationLine, Status};

use model::Filter;

/// What is asked before reservations are made.
struct ToCreate {
    locked: Asked<Locked>,
}

/// Refuses what can be refused before stock is looked at: too many holds, by how many each owner has alive, and replacing
/// what is not the owner's.
fn look_at<'a>(
    requests: &[(&'a NewReservation, &Limits)],
    mut live: HashMap<String, i64>,
    known: &[Reservation],
) -> Vec<Result<&'a NewReservation>> {
    let mut taken = HashSet::new();
    let looked_at = requests.iter().map(|(request, limits)| {
        let old = known.iter().find(|old| Some(old.id) == request.replace && old.is_within(limits));
        request.check_replacing(old)?;
        let Some(owner) = &request.owner else { return Ok(*request) };
        // One that is replaced makes room, if it is alive and nobody took its place yet.
        let makes_room = old.is_some_and(|old| old.status == Status::Active && taken.insert(old.id));
        let count = live.entry(owner.clone()).or_default();
        *count += i64::from(!makes_room);
        if *count > MAX_LIVE_PER_OWNER { Err(Error::TooManyHolds(MAX_LIVE_PER_OWNER)) } else { Ok(*request) }
    });
    looked_at.collect()
}

/// Of what was found, for each who asks what is within the limits.
pub fn for_each<'a>(
    found: Vec<Reservation>,
    asked: impl Iterator<Item = (Uuid, &'a Limits)>,
) -> Vec<Result<Reservation>> {
    let found: HashMap<Uuid, Reservation> = found.into_iter().map(|found| (found.id, found)).collect();
    let each = asked.map(|(id, limits)| {
        let found = found.get(&id).filter(|found| found.is_within(limits));
        found.cloned().ok_or(Error::NotFound(id))
    });
    each.collect()
}

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
        writes: &mut Writes,
        requests: &[(&NewReservation, &Limits)],
    ) -> Result<Vec<Result<Reservation>>> {
        let replaced: Vec<Uuid> = requests.iter().filter_map(|(request, _)| request.replace).collect();
        let held = self.inventory.skus_held(conn, &replaced).await?;
        let mut reads = Reads::default();
        let asked = self.ask_to_create(&mut reads, requests.iter().map(|(request, _)| *request), held);
        let answers = reads.ask_all(conn).await?;
        self.create_as_asked(conn, writes, requests, (&asked, &answers)).await
    }

    /// Asks for the locks that it takes to make these reservations: of their products, those `held` by what they replace among
    /// them, and of their owners.
    fn ask_to_create<'a>(
        &self,
        reads: &mut Reads,
        requests: impl Iterator<Item = &'a NewReservation> + Clone,
        held: Vec<String>,
    ) -> ToCreate {
        let locked =
            self.inventory.ask_to_lock(reads, requests.clone().flat_map(NewReservation::skus).chain(held).collect());
        let owners: BTreeSet<&str> = requests.filter_map(|request| request.owner.as_deref()).collect();
        if !owners.is_empty() {
            repo::ask_to_lock_owners(reads, &owners.into_iter().collect::<Vec<_>>());
        }
        ToCreate { locked }
    }

    async fn create_as_asked(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        requests: &[(&NewReservation, &Limits)],
        (asked, answers): (&ToCreate, &Answers),
    ) -> Result<Vec<Result<Reservation>>> {
        let owners: Vec<&str> = requests.iter().filter_map(|(request, _)| request.owner.as_deref()).collect();
        let replaced: Vec<Uuid> = requests.iter().filter_map(|(request, _)| request.replace).collect();
        let mut reads = Reads::default();
        let to_open = self.inventory.ask_to_open(&mut reads, answers.of(&asked.locked)?);
        let live = (!owners.is_empty()).then(|| repo::ask_how_many_live(&mut reads, &owners));
        let known = (!replaced.is_empty()).then(|| repo::ask_for(&mut reads, &replaced));
        let answers = reads.ask_all(conn).await?;
        let live = live.map(|live| answers.of(&live)).transpose()?.unwrap_or_default();
        let known = known.map(|known| answers.of(&known)).transpose()?.unwrap_or_default();
        let (accepted, refused) = sift(look_at(requests, live.into_iter().collect(), &known));
        let opened = self.inventory.opened(conn, to_open, &answers).await?;
        let holds: Vec<_> = accepted.iter().map(|request| request.hold(id::new())).collect();
        let (held, changes) = self.inventory.hold_in_tx(conn, writes, opened, &holds).await?;
        let mut made = Vec::new();
        let mut outcomes = Vec::new();
        for ((request, hold), outcome) in accepted.into_iter().zip(&holds).zip(held) {
            outcomes.push(outcome.map_err(Error::from).map(|held| {
                made.push(Reservation::new(request, hold, &held));
            }));
        }
        let mut news = self.end_replaced(conn, &holds, &outcomes).await?;
        news.extend(changes);
        repo::insert(writes, &made);
        news.extend(made.iter().map(|r| events::of("reservation.created", r)));
        Events::publish_with(writes, &news);
        let mut made = made.into_iter();
        Ok(refused.weave(outcomes.into_iter().map(|outcome| outcome.map(|()| made.next().expect("one for each")))))
    }

    /// Holds stock for another module, in place of what these reservations held: all of that, or nothing changes. Those
    /// that have ended already have nothing to give up, and do not stand in the way.
    pub async fn hold_in_tx(
        &self,
        conn: &mut PgConnection,
        request: &NewReservation,
        in_place_of: &[Uuid],
    ) -> Result<Reservation> {
        let mut hold = request.hold(id::new());
        hold.replaces = in_place_of.to_vec();
        let mut writes = Writes::default();
        let opened = self.inventory.open_to_hold(conn, request.skus().collect(), in_place_of).await?;
        let (mut held, changes) =
            self.inventory.hold_in_tx(conn, &mut writes, opened, std::slice::from_ref(&hold)).await?;
        let held = held.pop().expect("one for one")?;
        let made = Reservation::new(request, &hold, &held);
        let mut news = self.end_replaced(conn, &[hold], &[Ok(())]).await?;
        news.extend(changes);
        repo::insert(&mut writes, std::slice::from_ref(&made));
        news.push(events::of("reservation.created", &made));
        Events::publish_with(&mut writes, &news);
        writes.write_out(conn).await?;
        Ok(made)
    }

    /// Lets one live `ttl_seconds` from now; nothing when it has ended.
    pub async fn prolong_in_tx(
        &self,
        conn: &mut PgConnection,
        id: Uuid,
        ttl_seconds: i64,
    ) -> Result<Option<Reservation>> {
        let found = self.find(conn, id).await?;
        let mut writes = Writes::default();
        let mut extended = self.extend_in_tx(conn, &mut writes, &[(found, ttl_seconds)]).await?;
        writes.write_out(conn).await?;
        match extended.pop().expect("one for one") {
            Ok(extended) => Ok(Some(extended)),
            Err(Error::Ended(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the stock of one back, if it has not ended.
    pub async fn give_back_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<()> {
        let found = self.find(conn, id).await?;
        let mut writes = Writes::default();
        let mut released = self.release_in_tx(conn, &mut writes, &[found]).await?;
        writes.write_out(conn).await?;
        match released.pop().expect("one for one") {
            Ok(()) | Err(Error::Ended(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends what was replaced, and returns the news of it. One that was committed meanwhile has sold its stock: the whole
    /// call fails then.
    async fn end_replaced(
        &self,
        conn: &mut PgConnection,
        holds: &[crate::inventory::HoldRequest],
        outcomes: &[Result<()>],
    ) -> Result<Vec<Event>> {
        let replaced = holds.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok());
        let replaced: Vec<Uuid> = replaced.flat_map(|(hold, _)| hold.replaces.iter().copied()).collect();
        if replaced.is_empty() {
            return Ok(Vec::new());
        }
        let ended = repo::end(conn, &replaced, Status::Released).await?;
        let expired = repo::end_expired(conn, &replaced).await?;
        let committed = repo::find_many(conn, &replaced).await?.into_iter().find(|r| r.status == Status::Committed);
        if let Some(reservation) = committed {
            return Err(Error::Ended(reservation.status));
        }
        let mut published: Vec<_> = ended.iter().map(|r| events::of("reservation.released", r)).collect();
        published.extend(expired.iter().map(|r| events::of("reservation.expired", r)));
        Ok(published)
    }

    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<Reservation>> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list(&mut conn, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    async fn get(&self, id: Uuid, limits: &Limits) -> Result<Reservation> {
        self.get_in_tx(&mut *self.db.conn().await?, id, limits).await
    }

    /// One within the limits; one outside is as good as none.
    async fn get_in_tx(&self, conn: &mut PgConnection, id: Uuid, limits: &Limits) -> Result<Reservation> {
        let found = self.find(conn, id).await?;
        if found.is_within(limits) { Ok(found) } else { Err(Error::NotFound(id)) }
    }

    async fn find(&self, conn: &mut PgConnection, id: Uuid) -> Result<Reservation> {
        repo::find_many(conn, &[id]).await?.pop().ok_or(Error::NotFound(id))
    }

    /// Asks for reservations, with other questions.
    pub fn ask_for(&self, reads: &mut Reads, ids: impl Iterator<Item = Uuid>) -> Asked<Reservation> {
        repo::ask_for(reads, &ids.collect::<Vec<_>>())
    }

    /// Lets each live `ttl_seconds` from now, and never shorter than it would anyway.
    async fn extend_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        extensions: &[(Reservation, i64)],
    ) -> Result<Vec<Result<Reservation>>> {
        let held: Vec<(HeldBy, i64)> = extensions.iter().map(|(found, ttl)| (found.held_by(), *ttl)).collect();
        let (ends, mut news) = self.inventory.extend_in_tx(conn, writes, &held).await?;
        let alive = extensions.iter().zip(&ends).filter_map(|((found, _), end)| Some((found.id, (*end)?)));
        let alive: HashMap<Uuid, Timestamp> = alive.collect();
        let extended = repo::extend(conn, &alive.into_iter().collect::<Vec<_>>()).await?;
        news.extend(extended.iter().map(|reservation| events::of("reservation.extended", reservation)));
        Events::publish_with(writes, &news);
        self.outcomes(conn, extensions.iter().map(|(found, _)| found.id), extended).await
    }

    /// Gives the stock of each back. Releasing twice is fine; releasing what was committed or has expired is not.
    async fn release_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        found: &[Reservation],
    ) -> Result<Vec<Result<()>>> {
        let ids: Vec<Uuid> =
            found.iter().filter(|found| found.status == Status::Active).map(|found| found.id).collect();
        let mut news = self.inventory.release_in_tx(conn, writes, &ids).await?;
        let released = repo::end(conn, &ids, Status::Released).await?;
        news.extend(released.iter().map(|released| events::of("reservation.released", released)));
        Events::publish_with(writes, &news);
        let outcomes = self.outcomes(conn, found.iter().map(|found| found.id), released).await?;
        let outcomes = outcomes.into_iter().map(|outcome| match outcome {
            Ok(_) | Err(Error::Ended(Status::Released)) => Ok(()),
            Err(error) => Err(error),
        });
        Ok(outcomes.collect())
    }

    /// Those that were `done`, and of the others how they have ended.
    async fn outcomes(
        &self,
        conn: &mut PgConnection,
        ids: impl Iterator<Item = Uuid>,
        done: Vec<Reservation>,
    ) -> Result<Vec<Result<Reservation>>> {
        let done: HashMap<Uuid, Reservation> = done.into_iter().map(|done| (done.id, done)).collect();
        let ids: Vec<Uuid> = ids.collect();
        let others: Vec<Uuid> = ids.iter().filter(|id| !done.contains_key(id)).copied().collect();
        let others = if others.is_empty() { Vec::new() } else { repo::find_many(conn, &others).await? };
        let others: HashMap<Uuid, Status> = others.into_iter().map(|other| (other.id, other.ended_status())).collect();
        let outcomes = ids.into_iter().map(|id| match (done.get(&id), others.get(&id)) {
            (Some(done), _) => Ok(done.clone()),
            (None, Some(ended)) => Err(Error::Ended(*ended)),
            (None, None) => Err(Error::NotFound(id)),
        });
        Ok(outcomes.collect())
    }

    /// Turns what each holds into promises to the lines of an order: `order.lines[n]` is made from its line `n`. Their products
    /// are locked. Those that have ended meanwhile are left as they are. Idempotent by the order: a reservation is committed
    /// once.
    pub async fn commit_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        locked: Vec<Locked>,
        commits: &[(Reservation, Allocate)],
    ) -> Result<(Committed, Vec<Result<()>>)> {
        let held: Vec<(HeldBy, &Allocate)> = commits.iter().map(|(found, order)| (found.held_by(), order)).collect();
        let mut committed = self.inventory.commit_holds_in_tx(conn, writes, locked, &held).await?;
        let alive = commits.iter().zip(&committed.claims).filter(|(_, claims)| claims.is_some());
        let alive: Vec<(Uuid, Uuid)> = alive.map(|((found, order), _)| (found.id, order.order_id)).collect();
        let ended = repo::commit(conn, &alive, committed.now).await?;
        // Under the lock of its products, what is held and what is alive are the same.
        assert_eq!(ended.len(), alive.len(), "a reservation whose stock is held was not active");
        committed.changes.extend(ended.iter().map(|ended| events::of("reservation.committed", ended)));
        let outcomes = self.outcomes(conn, commits.iter().map(|(found, _)| found.id), ended).await?;
        Ok((committed, outcomes.into_iter().map(|outcome| outcome.map(drop)).collect()))
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
