//! What customers bought: `draft → placed → completed | cancelled`, with payment and fulfilment beside it.
//!
//! What an open line is promised stands in inventory; this module keeps the order's life.
//!
//! **Invariant:** whoever changes an order locks its row first. A line's `shipped + cancelled` never
//! exceeds its quantity, `returned` never what was shipped, and what is left is exactly what
//! inventory promises it: allocated or backordered.

mod change;
mod error;
mod events;
mod exchange;
mod fulfil;
mod http;
mod model;
mod payment;
mod personal;
mod pricing;
mod process;
mod repo;
mod self_check;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::Limits;
use crate::customers::{Customers, KnownCustomer};
use crate::events::{Event, Events};
use crate::inventory::{Allocate, Claim, Committed, Demand, Inventory, Listed, Wish};
use crate::platform::clock::Timestamp;
use crate::platform::db::{Answers, Asked, Db, Reads, Writes};
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Fault;
use crate::platform::sift::sift;
use crate::reservations::{self, Reservation, Reservations, Status};
use crate::warehouses::{Address, Location};

pub use change::{OrderFields, OrderLineFields};
pub use error::Error;
pub use exchange::ExchangeLine;
pub use fulfil::{NewReturn, NewReturnLine};
pub use http::router;
pub use model::{Customer, NewOrder, NewOrderLine, Order, OrderLine, OrderStatus, Shipment};
pub use payment::{Paid, Payable};
pub use pricing::{Priced, ShippingPrice, Terms, Totals, share, totals};
pub use process::Process;

use model::OrderHead;
use repo::Filter;

#[derive(Clone)]
pub struct Orders {
    db: Db,
    customers: Customers,
    reservations: Reservations,
    inventory: Inventory,
}

type Result<T> = std::result::Result<T, Error>;

/// An order about to be written.
struct Draft<'a> {
    new: &'a NewOrder,
    buyer: Buyer,
    channel: Option<String>,
    lines: Vec<DraftLine>,
    order: Allocate,
}

/// Who buys, and where the goods go: as asked for, or as copied from a known customer.
#[derive(Clone, Default)]
struct Buyer {
    customer: Customer,
    shipping_address: Option<Address>,
}

struct DraftLine {
    id: Uuid,
    terms: Terms,
    promised_for: Option<NaiveDate>,
}

impl DraftLine {
    /// At the price asked for or that of the product; promised for the day asked for, or for that on which it comes out.
    fn new(mut terms: Terms, promised_for: Option<NaiveDate>, listed: Option<&Listed>, now: Timestamp) -> Self {
        let release = listed.and_then(|listed| listed.release_date).filter(|date| *date > now.0.date_naive());
        terms.unit_price = terms.unit_price.or_else(|| listed?.price.clone());
        Self { id: id::new(), terms, promised_for: promised_for.or(release) }
    }
}

/// An order to make from a reservation.
pub struct Reserved<'a> {
    pub new: &'a NewOrder,
    pub reservation: Uuid,
    pub limits: &'a Limits,
    /// What its lines cost, one for one; at the products' prices when left out
    pub terms: Option<&'a [Terms]>,
}

/// What is asked before orders are placed from reservations.
pub struct ToPlace {
    found: Asked<Reservation>,
    now: Asked<Timestamp>,
}

impl Orders {
    pub fn new(db: Db, customers: Customers, reservations: Reservations, inventory: Inventory) -> Self {
        Self { db, customers, reservations, inventory }
    }

    /// Places an order of lines, and promises them what there is.
    async fn place_in_tx(&self, conn: &mut PgConnection, new: &NewOrder) -> Result<Order> {
        Ok(self.place_lines_in_tx(conn, new, false).await?.0)
    }

    /// Places an order that was sold elsewhere: what there is not waits, whatever the products allow, and somebody is told. How
    /// much that is of each product.
    pub async fn place_sold_in_tx(
        &self,
        conn: &mut PgConnection,
        new: &NewOrder,
    ) -> Result<(Order, BTreeMap<String, i64>)> {
        let (order, oversold) = self.place_lines_in_tx(conn, new, true).await?;
        if !oversold.is_empty() {
            let units: Vec<String> = oversold.iter().map(|(sku, quantity)| format!("{quantity} of {sku}")).collect();
            self.flag_in_tx(conn, order.head.id, &format!("oversold: {}", units.join(", "))).await?;
        }
        Ok((order, oversold))
    }

    async fn place_lines_in_tx(
        &self,
        conn: &mut PgConnection,
        new: &NewOrder,
        is_sold: bool,
    ) -> Result<(Order, BTreeMap<String, i64>)> {
        let customers = self.customers.pin_in_tx(conn, new.customer_id.as_slice()).await?;
        let now = repo::clock(conn).await?;
        check(new, now)?;
        let buyer = Buyer::of(new, &customers)?;
        let demands = new.lines.iter().flatten().map(NewOrderLine::demand).collect();
        let skus = new.lines.iter().flatten().map(|line| line.sku.0.clone()).collect::<Vec<_>>();
        let listed = self.inventory.listed(conn, &skus).await?;
        let channel = new.channel.as_ref().map(|code| code.0.clone());
        let mut draft = Draft::new(new, buyer, channel, demands, &listed, now);
        let faults = draft.faults();
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        draft.order.is_sold = is_sold;
        let mut writes = Writes::default();
        let mut committed = self.inventory.allocate_in_tx(conn, &mut writes, &draft.order).await?;
        let oversold = std::mem::take(&mut committed.oversold);
        let mut orders = self.write_in_tx(conn, &mut writes, &[draft], committed, now).await?;
        writes.write_out(conn).await?;
        Ok((orders.pop().expect("one draft makes one order"), oversold))
    }

    /// Asks for what is to be known before orders are placed from these reservations.
    pub fn ask_to_place(&self, reads: &mut Reads, reservations: impl Iterator<Item = Uuid>) -> ToPlace {
        ToPlace { found: self.reservations.ask_for(reads, reservations), now: repo::ask_the_time(reads) }
    }

    /// Places each order with what its reservation holds; one that is refused does not fail its neighbours. It takes a
    /// fixed number of statements, whatever the number of orders.
    pub async fn place_reserved_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        requests: &[Reserved<'_>],
        asked: &ToPlace,
        answers: &Answers,
    ) -> Result<Vec<Result<Order>>> {
        let named: Vec<Uuid> = requests.iter().filter_map(|it| it.new.customer_id).collect();
        let customers = self.customers.pin_in_tx(conn, &named).await?;
        let now = answers.of(&asked.now)?.pop().ok_or(sqlx::Error::RowNotFound)?;
        let found = answers.of(&asked.found)?;
        let found = reservations::for_each(found, requests.iter().map(|it| (it.reservation, it.limits)));
        let (mut taken, mut second) = (HashSet::new(), Vec::new());
        let looked_at = requests.iter().zip(found).enumerate().map(|(n, (request, found))| {
            check(request.new, now)?;
            let buyer = Buyer::of(request.new, &customers)?;
            let reservation = fitting(request.new, found.and_then(Reservation::alive))?;
            // Whoever came first has it.
            if taken.insert(request.reservation) {
                Ok((request, buyer, reservation))
            } else {
                second.push(n);
                Err(reservations::Error::Ended(Status::Committed).into())
            }
        });
        let (accepted, refused) = sift(looked_at);
        let lines = accepted.iter().flat_map(|(.., reservation)| &reservation.lines);
        let skus: Vec<String> = lines.map(|line| line.sku.clone()).collect();
        let mut reads = Reads::default();
        let listed = self.inventory.ask_for_listed(&mut reads, &skus);
        let locked = self.inventory.ask_to_lock(&mut reads, skus);
        let answers = reads.ask_all(conn).await?;
        let (listed, locked) = (answers.of(&listed)?.into_iter().collect(), answers.of(&locked)?);
        let drafts = accepted.into_iter().map(|(Reserved { new, terms, .. }, buyer, reservation)| {
            let terms = |n: usize| terms.and_then(|terms| terms.get(n)).cloned().unwrap_or_default();
            let lines = reservation.lines.iter().enumerate();
            let demands = lines.map(|(n, line)| (model::reserved(line), terms(n))).collect();
            let channel = new.channel.as_ref().map(|code| code.0.clone()).or_else(|| reservation.channel.clone());
            let draft = Draft::new(new, buyer, channel, demands, &listed, now);
            ((reservation, draft.order.clone()), draft)
        });
        let (commits, drafts): (Vec<(Reservation, Allocate)>, Vec<Draft>) = drafts.unzip();
        let (committed, outcomes) = self.reservations.commit_in_tx(conn, writes, locked, &commits).await?;
        let ended: HashMap<Uuid, Status> = how_ended(&commits, &outcomes).collect();
        let alive = outcomes.into_iter().zip(drafts).map(|(outcome, draft)| Ok(outcome.map(|()| draft)?));
        let (drafts, too_late) = sift::<_, Error>(alive);
        let orders = self.write_in_tx(conn, writes, &drafts, committed, now).await?;
        let mut placed: Vec<Result<Order>> = refused.weave(too_late.weave(orders.into_iter().map(Ok)));
        // Should who came first have come too late, so did who came second, and for the same reason.
        for n in second {
            if let Some(status) = ended.get(&requests[n].reservation) {
                placed[n] = Err(reservations::Error::Ended(*status).into());
            }
        }
        Ok(placed)
    }

    /// Writes orders whose lines have been promised their stock, and publishes all of its news.
    async fn write_in_tx(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        drafts: &[Draft<'_>],
        committed: Committed,
        now: Timestamp,
    ) -> Result<Vec<Order>> {
        let heads = repo::insert(conn, drafts, now).await?;
        let lines = repo::insert_lines(writes, drafts);
        let claims = committed.claims.into_iter().flatten().flatten().map(|mut claim| {
            // As they will be read.
            claim.sourced.parts.sort_by(|one, other| one.warehouse.cmp(&other.warehouse));
            (claim.order_line_id, claim)
        });
        let claims: HashMap<Uuid, Claim> = claims.collect();
        let orders = model::assemble(heads, lines, &claims, Vec::new(), Vec::new());
        let placed = orders.iter().map(|order| events::of("order.placed", order));
        let news: Vec<Event> = committed.changes.into_iter().chain(placed).chain(committed.served).collect();
        Events::publish_with(writes, &news);
        Ok(orders)
    }

    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<Order>> {
        let mut conn = self.db.snapshot().await?;
        let heads = repo::list(&mut conn, filter, page.after, page.fetch()).await?;
        let Page { items, next_cursor } = page.page(heads, |head| head.id);
        Ok(Page { items: self.assemble(&mut conn, items).await?, next_cursor })
    }

    /// By id or number.
    pub async fn get(&self, id_or_number: &str, limits: &Limits) -> Result<Order> {
        // In one moment: an order that is being shipped must not be seen in halves.
        let mut conn = self.db.snapshot().await?;
        let id = self.resolve(&mut conn, id_or_number).await?;
        within(self.get_in_tx(&mut conn, id).await?, id_or_number, limits)
    }

    /// What the database takes for now.
    pub async fn now(&self, conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
        repo::clock(conn).await
    }

    /// Orders of which something is to be sent and is due by `until`: promised for a day that ends by then, or placed by
    /// `placed_before` and promised for none. In the order of their ids.
    pub async fn due(
        &self,
        conn: &mut PgConnection,
        until: Timestamp,
        placed_before: Timestamp,
        after: Option<Uuid>,
        limit: i64,
    ) -> sqlx::Result<Vec<Uuid>> {
        repo::due(conn, until, placed_before, after, limit).await
    }

    /// Those of these orders that exist, in the order of their ids.
    pub async fn several(&self, conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Order>> {
        let heads = repo::find_all(conn, ids).await?;
        self.assemble(conn, heads).await
    }

    /// Who bought these, as far as they exist, each with its id where it has one.
    pub async fn buyers(
        &self,
        conn: &mut PgConnection,
        ids: &[Uuid],
    ) -> sqlx::Result<HashMap<Uuid, (Option<Uuid>, Customer)>> {
        repo::buyers(conn, ids).await
    }

    async fn resolve(&self, conn: &mut PgConnection, id_or_number: &str) -> Result<Uuid> {
        let missing = || Error::NotFound(id_or_number.to_owned());
        match (id_or_number.parse::<Uuid>(), id_or_number.parse::<i64>()) {
            (Ok(id), _) => Ok(id),
            (_, Ok(number)) => repo::id_of_number(conn, number).await?.ok_or_else(missing),
            _ => Err(missing()),
        }
    }

    async fn get_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Order> {
        let head = repo::find(conn, id).await?.ok_or_else(|| Error::NotFound(id.to_string()))?;
        let mut orders = self.assemble(conn, vec![head]).await?;
        Ok(orders.pop().expect("one head makes one order"))
    }

    /// Locks the order's row, and reads the order.
    pub async fn lock_in_tx(&self, conn: &mut PgConnection, id_or_number: &str, limits: &Limits) -> Result<Order> {
        let id = self.resolve(conn, id_or_number).await?;
        if !repo::lock(conn, id).await? {
            return Err(Error::NotFound(id_or_number.to_owned()));
        }
        within(self.get_in_tx(conn, id).await?, id_or_number, limits)
    }

    /// Orders with all that belongs to them: a fixed number of statements, whatever their number.
    async fn assemble(&self, conn: &mut PgConnection, heads: Vec<OrderHead>) -> Result<Vec<Order>> {
        let ids: Vec<Uuid> = heads.iter().map(|head| head.id).collect();
        let lines = repo::lines_of(conn, &ids).await?;
        let shipments = repo::goods::shipments_of(conn, &ids).await?;
        let returns = repo::goods::returns_of(conn, &ids).await?;
        let claims = self.inventory.claims_of(conn, &ids).await?;
        let claims: HashMap<Uuid, Claim> = claims.into_iter().map(|claim| (claim.order_line_id, claim)).collect();
        Ok(model::assemble(heads, lines, &claims, shipments, returns))
    }

    /// Cancels what is not shipped yet. An order that is cancelled already stays so.
    pub async fn cancel_in_tx(&self, conn: &mut PgConnection, order: &Order, reason: Option<&str>) -> Result<Order> {
        if order.open() == 0 && order.lines.iter().any(|line| line.cancelled > 0) {
            return Ok(order.clone());
        }
        if order.open() == 0 {
            return Err(Error::State("everything is shipped: take it back with a return instead".to_owned()));
        }
        let freed = self.inventory.deallocate_in_tx(conn, order.head.id).await?;
        let cancelled: Vec<(Uuid, i64)> =
            freed.iter().map(|claim| (claim.order_line_id, claim.sourced.quantity())).collect();
        repo::goods::add_cancelled(conn, &cancelled).await?;
        let (order, completed) = self.refresh_in_tx(conn, order.head.id, reason).await?;
        let cancelled = std::iter::once(events::of("order.cancelled", &order));
        Events::publish_in_tx(conn, &cancelled.chain(completed).collect::<Vec<_>>()).await?;
        Ok(order)
    }

    /// Derives the statuses anew from the lines and shipments. If that completed the order, the news of it
    /// is returned too, to be published after that of its cause.
    async fn refresh_in_tx(
        &self,
        conn: &mut PgConnection,
        id: Uuid,
        cancel_reason: Option<&str>,
    ) -> Result<(Order, Option<Event>)> {
        let before = self.get_in_tx(conn, id).await?;
        let (status, fulfilment) = (before.derived_status(), before.derived_fulfilment());
        repo::set_status(conn, id, status, fulfilment, cancel_reason).await?;
        // The total may be another, and so may be what the payments cover.
        let changed = self.get_in_tx(conn, id).await?;
        let paid = self.derive_payment_in_tx(conn, &changed).await?;
        let after = self.get_in_tx(conn, id).await?;
        if paid {
            Events::publish_in_tx(conn, &[events::of("order.paid", &after)]).await?;
        }
        let is_new = before.head.status != OrderStatus::Completed && after.head.status == OrderStatus::Completed;
        let completed = is_new.then(|| events::of("order.completed", &after));
        Ok((after, completed))
    }
}

impl<'a> Draft<'a> {
    /// A line for each demand, at the price asked for or that of the product.
    fn new(
        new: &'a NewOrder,
        buyer: Buyer,
        channel: Option<String>,
        demands: Vec<(Demand, Terms)>,
        listed: &HashMap<String, Listed>,
        now: Timestamp,
    ) -> Self {
        let (demands, asked): (Vec<Demand>, Vec<Terms>) = demands.into_iter().unzip();
        let promises = new.lines.iter().flatten().map(|line| line.promised_for).chain(std::iter::repeat(None));
        let lines =
            demands.iter().zip(asked).zip(promises).map(|((demand, terms), promised_for)| {
                DraftLine::new(terms, promised_for, listed.get(&demand.sku), now)
            });
        let lines: Vec<DraftLine> = lines.collect();
        let order = Allocate {
            order_id: id::new(),
            lines: lines.iter().map(|line| line.id).collect(),
            wish: Wish {
                demands,
                channel: channel.clone(),
                ship_to: buyer.shipping_address.as_ref().map_or_else(Location::default, Address::location),
            },
            placed_at: new.placed_at.unwrap_or(now).min(now),
            is_sold: false,
        };
        Self { new, buyer, channel, lines, order }
    }

    /// What its prices do not allow.
    fn faults(&self) -> Vec<Fault> {
        let lines = self.lines.iter().zip(self.new.lines.iter().flatten());
        let lines = lines.map(|(line, new)| (new.quantity.0, &line.terms, new.discount.as_ref()));
        pricing::faults(&lines.collect::<Vec<_>>(), self.new.shipping_price.as_ref())
    }
}

impl Buyer {
    fn of(new: &NewOrder, customers: &HashMap<Uuid, KnownCustomer>) -> Result<Self> {
        let known = new.customer_id.map(|id| {
            let unknown = || Fault::new("/customer_id", "unknown", format!("there is no customer {id}"));
            customers.get(&id).ok_or_else(|| Error::Invalid(vec![unknown()]))
        });
        match (known.transpose()?, &new.customer) {
            (Some(known), None) => Ok(Self {
                customer: model::copied(known),
                shipping_address: new.shipping_address.clone().or_else(|| known.shipping_address().cloned()),
            }),
            (_, given) => {
                Ok(Self { customer: given.clone().unwrap_or_default(), shipping_address: new.shipping_address.clone() })
            }
        }
    }
}

fn check(new: &NewOrder, now: Timestamp) -> Result<()> {
    let faults = new.faults(now);
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Of those that could not be committed, how they had ended.
fn how_ended<'a>(
    commits: &'a [(Reservation, Allocate)],
    outcomes: &'a [std::result::Result<(), reservations::Error>],
) -> impl Iterator<Item = (Uuid, Status)> + 'a {
    commits.iter().zip(outcomes).filter_map(|((reservation, _), outcome)| match outcome {
        Err(reservations::Error::Ended(status)) => Some((reservation.id, *status)),
        _ => None,
    })
}

/// The reservation to make the order from.
fn fitting(new: &NewOrder, found: std::result::Result<Reservation, reservations::Error>) -> Result<Reservation> {
    let reservation = found.map_err(|error| match error {
        reservations::Error::NotFound(_) => {
            Error::Invalid(vec![Fault::new("/reservation_id", "unknown", error.to_string())])
        }
        other => other.into(),
    })?;
    let asked = new.channel.as_ref().map(|code| &code.0);
    if asked.is_some() && reservation.channel.is_some() && asked != reservation.channel.as_ref() {
        let detail = "the reservation was made through another channel";
        return Err(Error::Invalid(vec![Fault::new("/channel", "differs", detail)]));
    }
    Ok(reservation)
}

/// An order outside the limits is as good as none.
fn within(order: Order, id_or_number: &str, limits: &Limits) -> Result<Order> {
    if order.is_within(limits) { Ok(order) } else { Err(Error::NotFound(id_or_number.to_owned())) }
}

/// Callers name moments of the past by clocks of their own, which may be ahead of the database's by a little.
fn check_past(at: Option<Timestamp>, now: Timestamp, pointer: &str) -> Option<Fault> {
    at.filter(|at| at.is_after(now)).map(|_| Fault::new(pointer, "future", "this is in the future"))
}
