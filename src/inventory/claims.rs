//! Promises: holds for reservations, allocations and backorders for orders.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::book::Book;
use super::model::sourcing::{Demand, Sourced};
use super::model::views::Shortage;
use super::repo::claims::{Claim, Hold, NewBackorder};
use super::{Error, Inventory, Result, SERVER, repo};
use crate::events::{Event, Events};
use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;
use crate::warehouses::{Location, Scope};

/// What is wanted, from where, and for where: what sourcing goes by.
#[derive(Clone, Debug)]
pub struct Wish {
    pub demands: Vec<Demand>,
    pub channel: Option<String>,
    pub ship_to: Location,
}

/// Stock to hold for a reservation.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    pub reservation_id: Uuid,
    pub wish: Wish,
    pub ttl_seconds: i64,
    /// Hold what there is rather than nothing
    pub allow_partial: bool,
    /// A reservation whose holds are given up if, and only if, this one succeeds
    pub replaces: Option<Uuid>,
}

/// What is held: a [`Sourced`] a demand.
#[derive(Clone, Debug)]
pub struct Held {
    pub now: Timestamp,
    pub expires_at: Timestamp,
    pub lines: Vec<Sourced>,
}

/// Stock to promise to the lines of an order.
#[derive(Clone, Debug)]
pub struct Allocate {
    pub order_id: Uuid,
    /// The order lines; a demand of the wish each
    pub lines: Vec<Uuid>,
    pub wish: Wish,
    pub placed_at: Timestamp,
}

impl Inventory {
    /// Holds stock for each request on its own, in order: one that cannot be met does not fail its
    /// neighbours. What is held takes a fixed number of statements, whatever the number of requests;
    /// each refusal takes three more, to say what else there is.
    pub async fn hold_in_tx(&self, conn: &mut PgConnection, requests: &[HoldRequest]) -> Result<Vec<Result<Held>>> {
        let replaced: Vec<Uuid> = requests.iter().filter_map(|r| r.replaces).collect();
        let mut skus: Vec<String> = requests.iter().flat_map(|r| &r.wish.demands).map(|d| d.sku.clone()).collect();
        if !replaced.is_empty() {
            skus.extend(repo::claims::skus_held(conn, &replaced).await?);
        }
        let (mut book, mut served) = self.open_to_promise(conn, skus).await?;
        let mut given_up = match replaced.as_slice() {
            [] => BTreeMap::new(),
            ids => by_reservation(repo::claims::holds_of(conn, ids).await?),
        };
        let (mut outcomes, mut new_holds, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            let old = request.replaces.and_then(|id| given_up.remove(&id)).unwrap_or_default();
            outcomes.push(match decide_hold(&mut book, request, &old) {
                Ok(lines) => {
                    let expires_at = book.now.plus_seconds(request.ttl_seconds);
                    new_holds.extend(holds_of(request, &lines).map(|hold| (hold, expires_at)));
                    ended.extend(request.replaces);
                    Ok(Held { now: book.now, expires_at, lines })
                }
                Err(Decline::Short(short)) => Err(self.insufficient(conn, &book, &request.wish, &short).await?),
                Err(Decline::Invalid(error)) => Err(error),
            });
        }
        if !ended.is_empty() {
            repo::claims::delete_holds(conn, &ended).await?;
        }
        if !new_holds.is_empty() {
            repo::claims::insert_holds(conn, &new_holds).await?;
        }
        served.extend(self.close(conn, book, SERVER).await?.served);
        Events::publish_in_tx(conn, &served).await?;
        Ok(outcomes)
    }

    /// Gives back what these reservations hold.
    pub async fn release_in_tx(&self, conn: &mut PgConnection, reservations: &[Uuid]) -> Result<()> {
        let skus = repo::claims::skus_held(conn, reservations).await?;
        let mut book = self.open(conn, skus).await?;
        for hold in repo::claims::delete_holds(conn, reservations).await? {
            book.unreserve(&hold.sku, &hold.sourced);
        }
        self.close_and_tell(conn, book, SERVER).await?;
        Ok(())
    }

    /// Gives back what these reservations hold, as far as it has expired. Opening the products does it.
    pub async fn release_expired_in_tx(&self, conn: &mut PgConnection, reservations: &[Uuid]) -> Result<()> {
        let skus = repo::claims::skus_held(conn, reservations).await?;
        let book = self.open(conn, skus).await?;
        self.close_and_tell(conn, book, SERVER).await?;
        Ok(())
    }

    /// Moves the end of a reservation's holds, never nearer. False when some of the `expected` rows are gone.
    pub async fn extend_in_tx(
        &self,
        conn: &mut PgConnection,
        reservation: Uuid,
        expires_at: Timestamp,
        expected: usize,
    ) -> Result<bool> {
        let extended = repo::claims::extend_holds(conn, reservation, expires_at).await?;
        Ok(usize::try_from(extended).is_ok_and(|n| n == expected))
    }

    /// Turns what a reservation holds into promises to the lines of an order: `order.lines[n]` is the order
    /// line made from the reservation's line `n`. Returns news to publish once the order is.
    pub async fn commit_hold_in_tx(
        &self,
        conn: &mut PgConnection,
        reservation: Uuid,
        order: &Allocate,
    ) -> Result<Vec<Event>> {
        let skus = repo::claims::skus_held(conn, &[reservation]).await?;
        let mut book = self.open(conn, skus).await?;
        let holds = repo::claims::delete_holds(conn, &[reservation]).await?;
        let mut claims = Vec::new();
        for hold in holds {
            let index = usize::try_from(hold.line).expect("lines are counted from 0");
            book.unreserve(&hold.sku, &hold.sourced);
            book.allocate(&hold.sku, &hold.sourced);
            let (order_line_id, order_id) = (order.lines[index], order.order_id);
            claims.push(Claim { order_line_id, order_id, sku: hold.sku, sourced: hold.sourced });
        }
        self.write_claims(conn, order, &claims).await?;
        Ok(self.close(conn, book, SERVER).await?.served)
    }

    /// Promises stock to the lines of an order, all of it or none. Returns news to publish once the order is.
    pub async fn allocate_in_tx(&self, conn: &mut PgConnection, order: &Allocate) -> Result<Vec<Event>> {
        let skus = order.wish.demands.iter().map(|demand| demand.sku.clone()).collect();
        let (mut book, mut served) = self.open_to_promise(conn, skus).await?;
        let sourced = match decide(&book, &order.wish, false) {
            Ok(sourced) => sourced,
            Err(Decline::Short(short)) => return Err(self.insufficient(conn, &book, &order.wish, &short).await?),
            Err(Decline::Invalid(error)) => return Err(error),
        };
        let mut claims = Vec::new();
        for ((order_line_id, demand), sourced) in order.lines.iter().zip(&order.wish.demands).zip(sourced) {
            book.allocate(&demand.sku, &sourced);
            let (order_line_id, order_id, sku) = (*order_line_id, order.order_id, demand.sku.clone());
            claims.push(Claim { order_line_id, order_id, sku, sourced });
        }
        self.write_claims(conn, order, &claims).await?;
        served.extend(self.close(conn, book, SERVER).await?.served);
        Ok(served)
    }

    async fn write_claims(&self, conn: &mut PgConnection, order: &Allocate, claims: &[Claim]) -> Result<()> {
        repo::claims::add_allocations(conn, claims).await?;
        let pinned: BTreeMap<Uuid, Option<&String>> =
            order.lines.iter().zip(&order.wish.demands).map(|(id, demand)| (*id, demand.warehouse.as_ref())).collect();
        let waiting = claims.iter().filter(|claim| claim.sourced.backordered > 0).map(|claim| NewBackorder {
            order_line_id: claim.order_line_id,
            order_id: claim.order_id,
            sku: claim.sku.clone(),
            quantity: claim.sourced.backordered,
            warehouse: pinned.get(&claim.order_line_id).copied().flatten().cloned(),
        });
        let waiting: Vec<NewBackorder> = waiting.collect();
        let channel = order.wish.channel.as_deref();
        repo::claims::insert_backorders(conn, &waiting, channel, order.placed_at).await?;
        Ok(())
    }

    /// Takes back all that an order is promised; returns what that was, a claim a line.
    pub async fn deallocate_in_tx(&self, conn: &mut PgConnection, order: Uuid) -> Result<Vec<Claim>> {
        let skus = repo::claims::of_orders(conn, &[order]).await?.into_iter().map(|claim| claim.sku).collect();
        let mut book = self.open(conn, skus).await?;
        // Read again under lock: a backorder may have been served meanwhile.
        let claims = repo::claims::of_orders(conn, &[order]).await?;
        for claim in &claims {
            book.deallocate(&claim.sku, &claim.sourced);
        }
        repo::claims::delete_claims(conn, order).await?;
        self.close_and_tell(conn, book, SERVER).await?;
        Ok(claims)
    }

    /// What the lines of these orders are promised.
    pub async fn claims_of(&self, conn: &mut PgConnection, orders: &[Uuid]) -> Result<Vec<Claim>> {
        Ok(repo::claims::of_orders(conn, orders).await?)
    }

    /// The refusal that names each short product, what could be had of it, and what else there is.
    async fn insufficient(
        &self,
        conn: &mut PgConnection,
        book: &Book,
        wish: &Wish,
        short: &BTreeMap<String, i64>,
    ) -> Result<Error> {
        let scope = scope_of(book, wish.channel.as_deref())?;
        let skus: Vec<String> = short.keys().cloned().collect();
        let next = repo::levels::next_expiries(conn, &skus).await?;
        let mut substitutes = self.substitutes(conn, &scope, book, &skus).await?;
        let shortages = short.iter().map(|(sku, available)| Shortage {
            sku: sku.clone(),
            requested: wish.demands.iter().filter(|d| d.sku == *sku).map(|d| d.quantity).sum(),
            available: *available,
            next_expiry_at: next.get(sku).copied(),
            substitutes: substitutes.remove(sku).unwrap_or_default(),
        });
        Ok(Error::Insufficient(shortages.collect()))
    }
}

/// Why a request is not served.
enum Decline {
    /// These products are short; of each, this much could be had
    Short(BTreeMap<String, i64>),
    Invalid(Error),
}

fn scope_of(book: &Book, channel: Option<&str>) -> Result<Scope> {
    book.directory().scope(channel).ok_or_else(|| Error::NoChannel(channel.unwrap_or_default().to_owned()))
}

/// How the wish would be served; the book stays as it is.
fn decide(book: &Book, wish: &Wish, allow_partial: bool) -> std::result::Result<Vec<Sourced>, Decline> {
    let scope = scope_of(book, wish.channel.as_deref()).map_err(Decline::Invalid)?;
    let faults = faults(book, &scope, &wish.demands);
    if !faults.is_empty() {
        return Err(Decline::Invalid(Error::Invalid(faults)));
    }
    let sourced = book.source(&scope, &wish.ship_to, &wish.demands);
    let lines = wish.demands.iter().zip(&sourced);
    let short: BTreeSet<&str> =
        lines.filter(|(demand, line)| line.quantity() < demand.quantity).map(|(demand, _)| &*demand.sku).collect();
    let nothing = sourced.iter().all(|line| line.quantity() == 0);
    if short.is_empty() || (allow_partial && !nothing) {
        return Ok(sourced);
    }
    let available = short.into_iter().map(|sku| (sku.to_owned(), could_be_had(book, &scope, &wish.demands, sku)));
    Err(Decline::Short(available.collect()))
}

/// What is available of a product where its lines may be served from.
fn could_be_had(book: &Book, scope: &Scope, demands: &[Demand], sku: &str) -> i64 {
    let pins: Option<BTreeSet<&String>> =
        demands.iter().filter(|d| d.sku == sku).map(|d| d.warehouse.as_ref()).collect();
    match pins {
        None => book.available(scope, sku),
        Some(pins) => {
            let candidates = scope.candidates.iter().filter(|c| pins.contains(&c.code)).cloned().collect();
            book.available(&Scope { rules: Vec::new(), candidates }, sku)
        }
    }
}

/// Decides with what the replaced reservation gives up; on success the book has the change.
fn decide_hold(book: &mut Book, request: &HoldRequest, old: &[Hold]) -> std::result::Result<Vec<Sourced>, Decline> {
    old.iter().for_each(|hold| book.unreserve(&hold.sku, &hold.sourced));
    let outcome = decide(book, &request.wish, request.allow_partial);
    match &outcome {
        Ok(lines) => request.wish.demands.iter().zip(lines).for_each(|(demand, line)| book.reserve(&demand.sku, line)),
        Err(_) => old.iter().for_each(|hold| book.reserve(&hold.sku, &hold.sourced)),
    }
    outcome
}

/// Products and warehouses that do not exist or cannot serve.
fn faults(book: &Book, scope: &Scope, demands: &[Demand]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (i, demand) in demands.iter().enumerate() {
        if book.item(&demand.sku).is_none() {
            faults.push(Fault::new(
                format!("/lines/{i}/sku"),
                "unknown",
                format!("there is no product {}", demand.sku),
            ));
        }
        let Some(code) = &demand.warehouse else { continue };
        let pointer = format!("/lines/{i}/warehouse");
        if book.directory().warehouse(code).is_none() {
            faults.push(Fault::new(pointer, "unknown", format!("there is no warehouse {code}")));
        } else if !book.directory().is_active(code) {
            faults.push(Fault::new(pointer, "inactive", format!("the warehouse {code} is not active")));
        } else if !scope.candidates.iter().any(|candidate| candidate.code == *code) {
            faults.push(Fault::new(pointer, "not_linked", format!("the warehouse {code} does not serve this channel")));
        }
    }
    faults
}

fn holds_of<'a>(request: &'a HoldRequest, lines: &'a [Sourced]) -> impl Iterator<Item = Hold> + 'a {
    request.wish.demands.iter().zip(lines).enumerate().map(|(n, (demand, sourced))| Hold {
        reservation_id: request.reservation_id,
        line: i32::try_from(n).expect("requests have at most 1,000 lines"),
        sku: demand.sku.clone(),
        sourced: sourced.clone(),
    })
}

fn by_reservation(holds: Vec<Hold>) -> BTreeMap<Uuid, Vec<Hold>> {
    let mut map: BTreeMap<Uuid, Vec<Hold>> = BTreeMap::new();
    for hold in holds {
        map.entry(hold.reservation_id).or_default().push(hold);
    }
    map
}
