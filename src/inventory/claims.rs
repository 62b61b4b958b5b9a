//! Promises: holds for reservations, allocations and backorders for orders.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::book::Book;
use super::model::sourcing::{Demand, Sourced};
use super::model::views::Shortage;
use super::repo::claims::{Claim, Hold, NewBackorder};
use super::{Closed, Error, Inventory, Locked, Opened, Result, SERVER, repo};
use crate::events::Event;
use crate::platform::clock::Timestamp;
use crate::platform::db::{Reads, Writes};
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
    /// Reservations whose holds are given up if, and only if, this one succeeds
    pub replaces: Vec<Uuid>,
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
    /// What is neither there nor may be backordered is promised all the same: it was sold elsewhere
    pub is_sold: bool,
}

/// What a reservation held when it was last looked at, without lock.
#[derive(Clone, Debug)]
pub struct HeldBy {
    pub reservation_id: Uuid,
    pub skus: Vec<String>,
    /// In how many rows it is kept
    pub rows: usize,
}

impl HeldBy {
    /// Whether all of it is there still: what has ended has given it up, all at once.
    fn is_all_in(&self, found: &BTreeMap<Uuid, Vec<Hold>>) -> bool {
        let rows = |hold: &Hold| hold.sourced.parts.len() + usize::from(hold.sourced.backordered > 0);
        found.get(&self.reservation_id).is_some_and(|holds| holds.iter().map(rows).sum::<usize>() == self.rows)
    }
}

/// What was promised to orders.
pub struct Committed {
    /// The moment by which it was decided what is alive
    pub now: Timestamp,
    /// What the lines of each order are promised; nothing where its reservation has ended
    pub claims: Vec<Option<Vec<Claim>>>,
    /// News of the products, to publish before the orders
    pub changes: Vec<Event>,
    /// News of orders that waited, these or others, to publish after them
    pub served: Vec<Event>,
    /// What was promised beyond what the products allow, where that was asked for: sku and units
    pub oversold: BTreeMap<String, i64>,
}

impl Committed {
    /// Looks at the claims again, should some that waited have been served at once: what was held beyond stock, and has
    /// come in since.
    async fn claims_as_served(&mut self, conn: &mut PgConnection) -> Result<()> {
        let waiting = self.claims.iter().flatten().flatten().filter(|claim| claim.sourced.backordered > 0);
        let orders: BTreeSet<Uuid> = waiting.map(|claim| claim.order_id).collect();
        if orders.is_empty() || self.served.is_empty() {
            return Ok(());
        }
        let orders: Vec<Uuid> = orders.into_iter().collect();
        let found = repo::claims::of_orders(conn, &orders).await?;
        let found: BTreeMap<Uuid, Claim> = found.into_iter().map(|claim| (claim.order_line_id, claim)).collect();
        for claim in self.claims.iter_mut().flatten().flatten() {
            if let Some(found) = found.get(&claim.order_line_id) {
                claim.clone_from(found);
            }
        }
        Ok(())
    }
}

impl Inventory {
    /// Opens products to hold stock of them, and those that these reservations hold, which are to be replaced.
    pub async fn open_to_hold(
        &self,
        conn: &mut PgConnection,
        mut skus: Vec<String>,
        replaced: &[Uuid],
    ) -> Result<Opened> {
        skus.extend(self.skus_held(conn, replaced).await?);
        Ok(Opened(self.open(conn, skus).await?))
    }

    /// The products that these reservations hold, before they are locked.
    pub async fn skus_held(&self, conn: &mut PgConnection, reservations: &[Uuid]) -> Result<Vec<String>> {
        Ok(repo::claims::skus_held(conn, reservations).await?)
    }

    /// Holds stock of products that are open for each request on its own, in order: one that cannot be met does not fail its
    /// neighbours. It takes a fixed number of statements, whatever the number of requests. Returns the news with the
    /// outcomes, to publish before that of what the stock is held for.
    pub async fn hold_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        Opened(book): Opened,
        requests: &[HoldRequest],
    ) -> Result<(Vec<Result<Held>>, Vec<Event>)> {
        let replaced: Vec<Uuid> = requests.iter().flat_map(|r| r.replaces.iter().copied()).collect();
        let (mut book, served_first) = self.ready_to_promise(conn, book).await?;
        let mut given_up = repo::claims::holds_of(conn, &replaced, book.now).await?;
        let (mut outcomes, mut short, mut new_holds, mut ended) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (n, request) in requests.iter().enumerate() {
            let old: Vec<Hold> = request.replaces.iter().filter_map(|id| given_up.remove(id)).flatten().collect();
            outcomes.push(match decide_hold(&mut book, request, &old) {
                Ok(lines) => {
                    let expires_at = book.now.plus_seconds(request.ttl_seconds);
                    new_holds.extend(holds_of(request, &lines).map(|hold| (hold, expires_at)));
                    ended.extend(request.replaces.iter().copied());
                    Ok(Held { now: book.now, expires_at, lines })
                }
                Err(Decline::Short(available)) => {
                    short.push((n, Short { wish: &request.wish, available }));
                    Err(Error::Insufficient(Vec::new()))
                }
                Err(Decline::Invalid(error)) => Err(error),
            });
        }
        let (places, short): (Vec<usize>, Vec<Short>) = short.into_iter().unzip();
        for (n, refusal) in places.into_iter().zip(self.insufficient(conn, &book, &short).await?) {
            outcomes[n] = Err(refusal);
        }
        repo::claims::delete_holds(writes, &ended);
        repo::claims::insert_holds(writes, &new_holds);
        let mut closed = self.close(conn, writes, book, SERVER).await?;
        closed.changes.extend(served_first);
        Ok((outcomes, closed.into_news()))
    }

    /// Gives back what these reservations hold; returns the news, to publish before that of the reservations.
    pub async fn release_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        reservations: &[Uuid],
    ) -> Result<Vec<Event>> {
        let skus = repo::claims::skus_held(conn, reservations).await?;
        let locked = self.lock(conn, skus).await?;
        let (mut book, held) = self.open_with_holds(conn, locked, reservations).await?;
        for hold in held.into_values().flatten() {
            book.unreserve(&hold.sku, &hold.sourced);
        }
        repo::claims::delete_holds(writes, reservations);
        Ok(self.close(conn, writes, book, SERVER).await?.into_news())
    }

    /// Gives back what these reservations hold, as far as it has expired. Opening the products does it.
    pub async fn release_expired_in_tx(&self, conn: &mut PgConnection, reservations: &[Uuid]) -> Result<()> {
        let skus = repo::claims::skus_held(conn, reservations).await?;
        let book = self.open(conn, skus).await?;
        self.close_and_tell(conn, book, SERVER).await?;
        Ok(())
    }

    /// Moves the ends of what these reservations hold to `ttl_seconds` from now, and never nearer; of one that is named
    /// several times, to the latest. Returns when that is for each, or nothing where it has ended, and news to publish.
    pub async fn extend_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        extensions: &[(HeldBy, i64)],
    ) -> Result<(Vec<Option<Timestamp>>, Vec<Event>)> {
        let held: Vec<&HeldBy> = extensions.iter().map(|(held, _)| held).collect();
        let locked = self.lock(conn, held.iter().flat_map(|held| &held.skus).cloned().collect()).await?;
        let ids: Vec<Uuid> = held.iter().map(|held| held.reservation_id).collect();
        let (book, found) = self.open_with_holds(conn, locked, &ids).await?;
        let ends = extensions.iter().map(|(held, ttl)| held.is_all_in(&found).then(|| book.now.plus_seconds(*ttl)));
        let ends: Vec<Option<Timestamp>> = ends.collect();
        let mut latest: BTreeMap<Uuid, Timestamp> = BTreeMap::new();
        for (id, end) in ids.iter().zip(&ends).filter_map(|(id, end)| Some((id, (*end)?))) {
            latest.entry(*id).and_modify(|latest| *latest = end.max(*latest)).or_insert(end);
        }
        let ends = ids.iter().zip(ends).map(|(id, end)| end.and(latest.get(id).copied())).collect();
        repo::claims::extend_holds(writes, &latest.into_iter().collect::<Vec<_>>());
        Ok((ends, self.close(conn, writes, book, SERVER).await?.into_news()))
    }

    /// Opens products that are locked, with what these reservations hold of them.
    async fn open_with_holds(
        &self,
        conn: &mut PgConnection,
        locked: Vec<Locked>,
        reservations: &[Uuid],
    ) -> Result<(Book, BTreeMap<Uuid, Vec<Hold>>)> {
        let mut reads = Reads::default();
        let to_open = self.ask_to_open(&mut reads, locked);
        let holds = repo::claims::ask_for_holds(&mut reads, reservations);
        let answers = reads.ask_all(conn).await?;
        let Opened(book) = self.opened(conn, to_open, &answers).await?;
        let held = repo::claims::gather(answers.of(&holds)?, book.now);
        Ok((book, held))
    }

    /// Turns what reservations hold into promises to the lines of orders: `lines[n]` of an order is the order line made from
    /// the reservation's line `n`. Their products are locked. What a reservation that has ended held is left as it is.
    pub async fn commit_holds_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        locked: Vec<Locked>,
        commits: &[(HeldBy, &Allocate)],
    ) -> Result<Committed> {
        let ids: Vec<Uuid> = commits.iter().map(|(held, _)| held.reservation_id).collect();
        let (mut book, mut found) = self.open_with_holds(conn, locked, &ids).await?;
        let (mut alive, mut orders) = (Vec::new(), Vec::new());
        let mut claims = Vec::new();
        for (held, order) in commits {
            let is_alive = held.is_all_in(&found);
            let mut own = Vec::new();
            // Nobody commits the same reservation twice: it is taken here.
            for hold in found.remove(&held.reservation_id).filter(|_| is_alive).unwrap_or_default() {
                let index = usize::try_from(hold.line).expect("lines are counted from 0");
                book.unreserve(&hold.sku, &hold.sourced);
                book.allocate(&hold.sku, &hold.sourced);
                let (order_line_id, order_id) = (order.lines[index], order.order_id);
                own.push(Claim { order_line_id, order_id, sku: hold.sku, sourced: hold.sourced });
            }
            if is_alive {
                orders.push((*order, own.clone()));
            }
            claims.push(is_alive.then_some(own));
            alive.extend(is_alive.then_some(held.reservation_id));
        }
        repo::claims::delete_holds(writes, &alive);
        write_claims(writes, &orders);
        let now = book.now;
        let Closed { changes, served, .. } = self.close(conn, writes, book, SERVER).await?;
        let mut committed = Committed { now, claims, changes, served, oversold: BTreeMap::new() };
        committed.claims_as_served(conn).await?;
        Ok(committed)
    }

    /// Promises stock to the lines of an order, all of it or none.
    pub async fn allocate_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        order: &Allocate,
    ) -> Result<Committed> {
        let skus = order.wish.demands.iter().map(|demand| demand.sku.clone()).collect();
        let book = self.open(conn, skus).await?;
        let (mut book, mut served) = self.ready_to_promise(conn, book).await?;
        let mut oversold = BTreeMap::new();
        let sourced = match decide(&book, &order.wish, false) {
            Ok(sourced) => sourced,
            Err(Decline::Short(_)) if order.is_sold => {
                let (sourced, beyond) = oversell(&book, &order.wish);
                oversold = beyond;
                sourced
            }
            Err(Decline::Short(available)) => {
                let short = Short { wish: &order.wish, available };
                return Err(self.insufficient(conn, &book, &[short]).await?.pop().expect("one for one"));
            }
            Err(Decline::Invalid(error)) => return Err(error),
        };
        let mut claims = Vec::new();
        for ((order_line_id, demand), sourced) in order.lines.iter().zip(&order.wish.demands).zip(sourced) {
            book.allocate(&demand.sku, &sourced);
            let (order_line_id, order_id, sku) = (*order_line_id, order.order_id, demand.sku.clone());
            claims.push(Claim { order_line_id, order_id, sku, sourced });
        }
        write_claims(writes, &[(order, claims.clone())]);
        let now = book.now;
        let closed = self.close(conn, writes, book, SERVER).await?;
        served.extend(closed.served);
        let mut committed = Committed { now, claims: vec![Some(claims)], changes: closed.changes, served, oversold };
        committed.claims_as_served(conn).await?;
        Ok(committed)
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
        let mut writes = Writes::default();
        repo::claims::delete_claims(&mut writes, order);
        self.close_and_tell_with(conn, writes, book, SERVER).await?;
        Ok(claims)
    }

    /// What the lines of these orders are promised.
    pub async fn claims_of(&self, conn: &mut PgConnection, orders: &[Uuid]) -> Result<Vec<Claim>> {
        Ok(repo::claims::of_orders(conn, orders).await?)
    }

    /// The refusals that name each short product, what could be had of it, and what else there is: a fixed number of
    /// statements for each channel.
    async fn insufficient(&self, conn: &mut PgConnection, book: &Book, refused: &[Short<'_>]) -> Result<Vec<Error>> {
        if refused.is_empty() {
            return Ok(Vec::new());
        }
        let mut by_channel: BTreeMap<Option<&str>, BTreeSet<&String>> = BTreeMap::new();
        for short in refused {
            by_channel.entry(short.wish.channel.as_deref()).or_default().extend(short.available.keys());
        }
        let all: BTreeSet<&String> = by_channel.values().flatten().copied().collect();
        let next = repo::levels::next_expiries(conn, &owned(&all)).await?;
        let mut substitutes = BTreeMap::new();
        for (channel, skus) in by_channel {
            let scope = scope_of(book, channel)?;
            substitutes.insert(channel, self.substitutes(conn, &scope, book, &owned(&skus)).await?);
        }
        let refusals = refused.iter().map(|Short { wish, available }| {
            let substitutes = &substitutes[&wish.channel.as_deref()];
            let shortages = available.iter().map(|(sku, available)| Shortage {
                sku: sku.clone(),
                requested: wish.demands.iter().filter(|d| d.sku == *sku).map(|d| d.quantity).sum(),
                available: *available,
                next_expiry_at: next.get(sku).copied(),
                substitutes: substitutes.get(sku).cloned().unwrap_or_default(),
            });
            Error::Insufficient(shortages.collect())
        });
        Ok(refusals.collect())
    }
}

fn write_claims(writes: &mut Writes, orders: &[(&Allocate, Vec<Claim>)]) {
    let claims: Vec<&Claim> = orders.iter().flat_map(|(_, claims)| claims).collect();
    repo::claims::add_allocations(writes, &claims);
    let waiting = orders.iter().flat_map(|(order, claims)| {
        let demands: BTreeMap<&Uuid, &Demand> = order.lines.iter().zip(&order.wish.demands).collect();
        let waiting = claims.iter().filter(|claim| claim.sourced.backordered > 0);
        waiting.map(move |claim| NewBackorder {
            order_line_id: claim.order_line_id,
            order_id: claim.order_id,
            sku: claim.sku.clone(),
            quantity: claim.sourced.backordered,
            channel: order.wish.channel.clone(),
            warehouse: demands.get(&claim.order_line_id).and_then(|demand| demand.warehouse.clone()),
            placed_at: order.placed_at,
        })
    });
    repo::claims::insert_backorders(writes, &waiting.collect::<Vec<_>>());
}

/// A wish that cannot be met: of these products, this much could be had.
struct Short<'a> {
    wish: &'a Wish,
    available: BTreeMap<String, i64>,
}

fn owned(skus: &BTreeSet<&String>) -> Vec<String> {
    skus.iter().map(|sku| (*sku).clone()).collect()
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

/// Serves a wish that is known to make sense as far as there is something, and lets the rest wait: whatever a product's limit
/// says. How much that is of each.
fn oversell(book: &Book, wish: &Wish) -> (Vec<Sourced>, BTreeMap<String, i64>) {
    let scope = scope_of(book, wish.channel.as_deref()).expect("the wish was looked at");
    let mut sourced = book.source(&scope, &wish.ship_to, &wish.demands);
    let mut beyond: BTreeMap<String, i64> = BTreeMap::new();
    for (demand, line) in wish.demands.iter().zip(&mut sourced) {
        let missing = demand.quantity - line.quantity();
        if missing > 0 {
            line.backordered += missing;
            *beyond.entry(demand.sku.clone()).or_default() += missing;
        }
    }
    (sourced, beyond)
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

/// Decides with what the replaced reservations give up; on success the book has the change.
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
