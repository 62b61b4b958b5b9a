//! Promises: holds for reservations, allocations and backorders for orders.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::book::Book;
use super::model::sourcing::{Demand, Sourced};
use super::model::views::Shortage;
use super::repo::claims::{Claim, Hold, NewBackorder, Waiting};
use super::{Error, Inventory, Result, SERVER, events, repo};
use crate::events::Event;
use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;
use crate::warehouses::{Location, Scope};

/// Orders that wait are read in stretches of this many.
const QUEUE_STRETCH: i64 = 500;

/// Stock to hold for a reservation.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    pub reservation_id: Uuid,
    pub demands: Vec<Demand>,
    pub ttl_seconds: i64,
    pub channel: Option<String>,
    pub ship_to: Location,
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
    /// The replaced reservation still had live holds, which are given up
    pub replaced: bool,
}

/// Stock to promise to the lines of an order.
#[derive(Clone, Debug)]
pub struct Allocate {
    pub order_id: Uuid,
    /// A demand for each order line
    pub lines: Vec<(Uuid, Demand)>,
    pub channel: Option<String>,
    pub ship_to: Location,
    pub placed_at: Timestamp,
}

impl Inventory {
    /// Holds stock for each request on its own, in order: one that cannot be met does not fail its
    /// neighbours. A fixed number of statements, whatever the number of requests.
    pub async fn hold_in_tx(&self, conn: &mut PgConnection, requests: &[HoldRequest]) -> Result<Vec<Result<Held>>> {
        let replaced: Vec<Uuid> = requests.iter().filter_map(|r| r.replaces).collect();
        let mut skus: Vec<String> = requests.iter().flat_map(|r| &r.demands).map(|d| d.sku.clone()).collect();
        if !replaced.is_empty() {
            skus.extend(repo::claims::skus_held(conn, &replaced).await?);
        }
        let mut book = self.open(conn, skus).await?;
        let mut given_up = match replaced.as_slice() {
            [] => BTreeMap::new(),
            ids => by_reservation(repo::claims::holds_of(conn, ids).await?),
        };
        let mut outcomes = Vec::new();
        let mut new_holds = Vec::new();
        let mut ended = Vec::new();
        let mut swept = false;
        for request in requests {
            let old = request.replaces.and_then(|id| given_up.remove(&id)).unwrap_or_default();
            let mut outcome = decide_hold(&mut book, request, &old);
            if !swept && wants_more(&request.demands, &outcome) {
                // Holds that have expired must not block a sale, swept or not.
                swept = true;
                undo_hold(&mut book, request, &old, &outcome);
                self.sweep_products(conn, &mut book, &replaced).await?;
                outcome = decide_hold(&mut book, request, &old);
            }
            outcomes.push(match outcome {
                Ok(lines) => {
                    let expires_at = book.now.plus_seconds(request.ttl_seconds);
                    new_holds.extend(holds_of(request, &lines).map(|hold| (hold, expires_at)));
                    ended.extend(request.replaces);
                    Ok(Held { now: book.now, expires_at, lines, replaced: !old.is_empty() })
                }
                Err(Decline::Short(short)) => Err(self.insufficient(conn, &book, request, &short).await?),
                Err(Decline::Invalid(error)) => Err(error),
            });
        }
        if !ended.is_empty() {
            repo::claims::delete_holds(conn, &ended).await?;
        }
        if !new_holds.is_empty() {
            repo::claims::insert_holds(conn, &new_holds).await?;
        }
        self.close(conn, book, SERVER).await?;
        Ok(outcomes)
    }

    /// Gives back what these reservations hold; `only_expired` leaves what is still alive. Returns the
    /// database's clock as of the release.
    pub async fn release_in_tx(
        &self,
        conn: &mut PgConnection,
        reservations: &[Uuid],
        only_expired: bool,
    ) -> Result<Timestamp> {
        let skus = repo::claims::skus_held(conn, reservations).await?;
        let mut book = self.open(conn, skus).await?;
        let holds = if only_expired {
            repo::claims::delete_expired_of_reservations(conn, reservations).await?
        } else {
            repo::claims::delete_holds(conn, reservations).await?
        };
        for hold in &holds {
            book.unreserve(&hold.sku, &hold.sourced);
        }
        let now = book.now;
        self.close(conn, book, SERVER).await?;
        Ok(now)
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

    /// Turns what a reservation holds into promises to the lines of an order: `line_ids[n]` is the
    /// order line made from the reservation's line `n`.
    pub async fn commit_hold_in_tx(&self, conn: &mut PgConnection, reservation: Uuid, order: &Allocate) -> Result<()> {
        let skus = repo::claims::skus_held(conn, &[reservation]).await?;
        let mut book = self.open(conn, skus).await?;
        let holds = repo::claims::delete_holds(conn, &[reservation]).await?;
        let mut claims = Vec::new();
        for hold in holds {
            let index = usize::try_from(hold.line).expect("lines are counted from 0");
            book.unreserve(&hold.sku, &hold.sourced);
            book.allocate(&hold.sku, &hold.sourced);
            let (order_line_id, order_id) = (order.lines[index].0, order.order_id);
            claims.push(Claim { order_line_id, order_id, sku: hold.sku, sourced: hold.sourced });
        }
        self.write_claims(conn, order, &claims).await?;
        self.close(conn, book, SERVER).await?;
        Ok(())
    }

    /// Promises stock to the lines of an order, all of it or none.
    pub async fn allocate_in_tx(&self, conn: &mut PgConnection, order: &Allocate) -> Result<()> {
        let request = HoldRequest {
            reservation_id: order.order_id,
            demands: order.lines.iter().map(|(_, demand)| demand.clone()).collect(),
            ttl_seconds: 0,
            channel: order.channel.clone(),
            ship_to: order.ship_to.clone(),
            allow_partial: false,
            replaces: None,
        };
        let mut book = self.open(conn, request.demands.iter().map(|d| d.sku.clone()).collect()).await?;
        let mut outcome = decide(&book, &request);
        if wants_more(&request.demands, &outcome) && self.sweep_products(conn, &mut book, &[]).await? {
            outcome = decide(&book, &request);
        }
        let sourced = match outcome {
            Ok(sourced) => sourced,
            Err(Decline::Short(short)) => return Err(self.insufficient(conn, &book, &request, &short).await?),
            Err(Decline::Invalid(error)) => return Err(error),
        };
        let mut claims = Vec::new();
        for ((order_line_id, demand), sourced) in order.lines.iter().zip(sourced) {
            book.allocate(&demand.sku, &sourced);
            let (order_line_id, order_id, sku) = (*order_line_id, order.order_id, demand.sku.clone());
            claims.push(Claim { order_line_id, order_id, sku, sourced });
        }
        self.write_claims(conn, order, &claims).await?;
        self.close(conn, book, SERVER).await?;
        Ok(())
    }

    async fn write_claims(&self, conn: &mut PgConnection, order: &Allocate, claims: &[Claim]) -> Result<()> {
        repo::claims::add_allocations(conn, claims).await?;
        let pinned: BTreeMap<Uuid, Option<&String>> =
            order.lines.iter().map(|(id, demand)| (*id, demand.warehouse.as_ref())).collect();
        let waiting = claims.iter().filter(|claim| claim.sourced.backordered > 0).map(|claim| NewBackorder {
            order_line_id: claim.order_line_id,
            order_id: claim.order_id,
            sku: claim.sku.clone(),
            quantity: claim.sourced.backordered,
            warehouse: pinned.get(&claim.order_line_id).copied().flatten().cloned(),
        });
        let waiting: Vec<NewBackorder> = waiting.collect();
        repo::claims::insert_backorders(conn, &waiting, order.channel.as_deref(), order.placed_at).await?;
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
        self.close(conn, book, SERVER).await?;
        Ok(claims)
    }

    /// What the lines of these orders are promised.
    pub async fn claims_of(&self, conn: &mut PgConnection, orders: &[Uuid]) -> Result<Vec<Claim>> {
        Ok(repo::claims::of_orders(conn, orders).await?)
    }

    /// Frees what has expired of the book's products, and gives it to orders that wait first. False when
    /// nothing had. What reservations in `except` hold is left to the caller, who accounts for it already.
    pub(super) async fn sweep_products(&self, conn: &mut PgConnection, book: &mut Book, except: &[Uuid]) -> Result<bool> {
        let skus: Vec<String> = book.skus().map(str::to_owned).collect();
        let expired = repo::claims::delete_expired_of_products(conn, &skus, except).await?;
        for hold in &expired {
            book.unreserve(&hold.sku, &hold.sourced);
        }
        let events = self.serve_backorders(conn, book).await?;
        crate::events::Events::publish_in_tx(conn, &events).await?;
        Ok(!expired.is_empty())
    }

    /// Gives stock that is free to the orders that wait for it, the oldest first.
    pub(super) async fn serve_backorders(&self, conn: &mut PgConnection, book: &mut Book) -> Result<Vec<Event>> {
        let mut published = Vec::new();
        for sku in book.servable() {
            let mut after = None;
            loop {
                let stretch = repo::claims::queue(conn, &sku, after, QUEUE_STRETCH).await?;
                after = stretch.last().map(|line| (line.placed_at, line.seq));
                let served = serve(book, &stretch);
                let quantities: Vec<(Uuid, i64)> =
                    served.iter().map(|(l, s)| (l.order_line_id, s.quantity())).collect();
                let claims: Vec<Claim> = served.iter().map(|(line, sourced)| claim_of(line, sourced)).collect();
                if !served.is_empty() {
                    repo::claims::reduce_backorders(conn, &quantities).await?;
                    repo::claims::add_allocations(conn, &claims).await?;
                }
                let parts = served.iter().flat_map(|(line, s)| s.parts.iter().map(move |part| (line, part)));
                published.extend(parts.map(|(line, part)| events::backorder_allocated(line, part)));
                let ended = i64::try_from(stretch.len()).is_ok_and(|n| n < QUEUE_STRETCH);
                if ended || !book.servable().contains(&sku) {
                    break;
                }
            }
        }
        Ok(published)
    }

    /// The refusal that names each short product, what could be had of it, and what else there is.
    async fn insufficient(
        &self,
        conn: &mut PgConnection,
        book: &Book,
        request: &HoldRequest,
        short: &BTreeSet<String>,
    ) -> Result<Error> {
        let scope = scope_of(book, request.channel.as_deref())?;
        let skus: Vec<String> = short.iter().cloned().collect();
        let next = repo::levels::next_expiries(conn, &skus).await?;
        let mut substitutes = self.substitutes(conn, &scope, book, &skus).await?;
        let shortages = skus.into_iter().map(|sku| Shortage {
            requested: request.demands.iter().filter(|d| d.sku == sku).map(|d| d.quantity).sum(),
            available: book.available(&scope, &sku),
            next_expiry_at: next.get(&sku).copied(),
            substitutes: substitutes.remove(&sku).unwrap_or_default(),
            sku,
        });
        Ok(Error::Insufficient(shortages.collect()))
    }
}

/// Why a request is not served.
enum Decline {
    /// These products are short
    Short(BTreeSet<String>),
    Invalid(Error),
}

fn scope_of(book: &Book, channel: Option<&str>) -> Result<Scope> {
    book.directory().scope(channel).ok_or_else(|| Error::NoChannel(channel.unwrap_or_default().to_owned()))
}

/// How the request would be served; the book stays as it is.
fn decide(book: &Book, request: &HoldRequest) -> std::result::Result<Vec<Sourced>, Decline> {
    let scope = scope_of(book, request.channel.as_deref()).map_err(Decline::Invalid)?;
    let faults = faults(book, &scope, &request.demands);
    if !faults.is_empty() {
        return Err(Decline::Invalid(Error::Invalid(faults)));
    }
    let sourced = book.source(&scope, &request.ship_to, &request.demands);
    let lines = request.demands.iter().zip(&sourced);
    let short: BTreeSet<String> = lines
        .filter(|(demand, line)| line.quantity() < demand.quantity)
        .map(|(demand, _)| demand.sku.clone())
        .collect();
    let nothing = sourced.iter().all(|line| line.quantity() == 0);
    if short.is_empty() || (request.allow_partial && !nothing) { Ok(sourced) } else { Err(Decline::Short(short)) }
}

/// Decides with what the replaced reservation gives up; on success the book has the change.
fn decide_hold(book: &mut Book, request: &HoldRequest, old: &[Hold]) -> std::result::Result<Vec<Sourced>, Decline> {
    old.iter().for_each(|hold| book.unreserve(&hold.sku, &hold.sourced));
    let outcome = decide(book, request);
    match &outcome {
        Ok(lines) => request.demands.iter().zip(lines).for_each(|(demand, line)| book.reserve(&demand.sku, line)),
        Err(_) => old.iter().for_each(|hold| book.reserve(&hold.sku, &hold.sourced)),
    }
    outcome
}

/// Takes back what `decide_hold` did to the book.
fn undo_hold(
    book: &mut Book,
    request: &HoldRequest,
    old: &[Hold],
    outcome: &std::result::Result<Vec<Sourced>, Decline>,
) {
    if let Ok(lines) = outcome {
        request.demands.iter().zip(lines).for_each(|(demand, line)| book.unreserve(&demand.sku, line));
        old.iter().for_each(|hold| book.reserve(&hold.sku, &hold.sourced));
    }
}

/// Whether more stock could make the outcome better: something is refused, left out or promised beyond stock.
fn wants_more(demands: &[Demand], outcome: &std::result::Result<Vec<Sourced>, Decline>) -> bool {
    match outcome {
        Ok(lines) => demands.iter().zip(lines).any(|(d, line)| line.quantity() - line.backordered < d.quantity),
        Err(Decline::Short(_)) => true,
        Err(Decline::Invalid(_)) => false,
    }
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
    request.demands.iter().zip(lines).enumerate().map(|(n, (demand, sourced))| Hold {
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

/// Serves lines that wait, in their order, and changes the book accordingly.
fn serve<'a>(book: &mut Book, queue: &'a [Waiting]) -> Vec<(&'a Waiting, Sourced)> {
    let mut served = Vec::new();
    for line in queue {
        // A channel that is gone no longer sells; its orders are served from anywhere.
        let scope = scope_of(book, line.channel.as_deref()).or_else(|_| scope_of(book, None));
        let Ok(scope) = scope else { continue };
        let demand = Demand { sku: line.sku.clone(), quantity: line.quantity, warehouse: line.warehouse.clone() };
        let Some(sourced) = book.source_from_stock(&scope, &[demand]).pop() else { continue };
        if sourced.quantity() > 0 {
            book.serve_backorder(&line.sku, &sourced.parts);
            served.push((line, sourced));
        }
    }
    served
}

fn claim_of(line: &Waiting, sourced: &Sourced) -> Claim {
    let (order_line_id, order_id, sku) = (line.order_line_id, line.order_id, line.sku.clone());
    Claim { order_line_id, order_id, sku, sourced: sourced.clone() }
}
