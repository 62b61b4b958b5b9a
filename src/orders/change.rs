//! Changes of an order that is not sent yet: who gets it and how, less of it, more of it, something else, from elsewhere.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::fulfil::{NewShipmentLine, distribute};
use super::model::{Customer, NewOrderLine, Order, OrderLine, OrderStatus};
use super::pricing::{self, Terms};
use super::{DraftLine, Error, Orders, Result, events, repo};
use crate::access::Limits;
use crate::events::{Event, Events};
use crate::inventory::{Allocate, Demand, Sku, Wish};
use crate::platform::db::Writes;
use crate::platform::money::Money;
use crate::platform::problem::{Fault, Problem};
use crate::platform::quantity::Quantity;
use crate::warehouses::{Address, Code, Location};

/// Lines that an order may have.
const MOST_LINES: usize = 1000;

/// What can be changed of an order as such
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderFields {
    #[serde(default)]
    pub customer: Customer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// Whether nothing is sent while some of it waits for stock
    #[serde(default)]
    #[schema(default = false)]
    pub ship_together: bool,
    /// Whatever you call the order
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

impl OrderFields {
    pub(super) fn of(order: &Order) -> Self {
        let head = order.head.clone();
        Self {
            customer: head.customer,
            shipping_address: head.shipping_address,
            ship_together: head.ship_together,
            reference: head.reference,
            note: head.note,
        }
    }
}

/// What can be changed of a line as such
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderLineFields {
    /// The day for which it was promised
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised_for: Option<NaiveDate>,
}

/// What is bought as well
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-1", "quantity": 1}]}))]
pub struct AddedLines {
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<NewOrderLine>,
}

impl AddedLines {
    pub(super) fn keep_within(&mut self, limits: &Limits) -> std::result::Result<(), Problem> {
        for line in &mut self.lines {
            line.warehouse = limits.warehouses.choose(line.warehouse.take().map(|code| code.0))?.map(Code);
        }
        Ok(())
    }
}

/// Units of a line that are not wanted any more
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quantity": 1, "reason": "one is enough"}))]
pub struct LineCancellation {
    /// All that is not shipped when left out
    pub quantity: Option<Quantity>,
    #[schema(max_length = 200)]
    pub reason: Option<String>,
}

/// Another product instead of units of a line
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-2", "quantity": 1}))]
pub struct Substitution {
    pub sku: Sku,
    /// Base units; all that waits for stock when left out, or all that is not shipped where nothing waits
    pub quantity: Option<Quantity>,
    /// Price of one base unit; that of the line, less its discount, when left out
    pub unit_price: Option<Money>,
}

/// Where goods are to come from instead
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"warehouse": "LEEDS"}))]
pub struct Reallocation {
    pub warehouse: Code,
    /// Which of them; all that are not shipped when left out
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Option<Vec<NewShipmentLine>>,
}

impl Orders {
    /// Whose the order is, and where it goes. The order's row is locked, here and below.
    pub(super) async fn change_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        fields: &OrderFields,
    ) -> Result<Order> {
        if *fields == OrderFields::of(order) {
            return Ok(order.clone());
        }
        repo::set_fields(conn, order.head.id, fields).await?;
        self.updated_in_tx(conn, order, None, Vec::new(), Vec::new()).await
    }

    pub(super) async fn change_line_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        line: Uuid,
        fields: &OrderLineFields,
    ) -> Result<Order> {
        let line = line_of(order, line)?;
        if fields.promised_for == line.promised_for {
            return Ok(order.clone());
        }
        repo::set_promised_for(conn, line.id, fields.promised_for).await?;
        self.updated_in_tx(conn, order, None, Vec::new(), Vec::new()).await
    }

    /// Sells more; all of it must be there or may be backordered.
    pub(super) async fn add_lines_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        added: &[NewOrderLine],
    ) -> Result<Order> {
        let now = repo::clock(conn).await?;
        let skus: Vec<String> = added.iter().map(|line| line.sku.0.clone()).collect();
        let listed = self.inventory.listed(conn, &skus).await?;
        let lines = added.iter().map(|line| {
            let (demand, terms) = line.demand();
            (DraftLine::new(terms, line.promised_for, listed.get(&demand.sku), now), demand)
        });
        let lines: Vec<(DraftLine, Demand)> = lines.collect();
        let terms = lines.iter().zip(added).map(|((line, demand), new)| {
            let discount = new.discount.as_ref();
            (demand.quantity, &line.terms, discount)
        });
        let mut faults = pricing::faults(&terms.collect::<Vec<_>>(), None);
        let prices = lines.iter().enumerate().map(|(n, (line, _))| (format!("/lines/{n}/unit_price"), &line.terms));
        faults.extend(prices.filter_map(|(pointer, terms)| price_fault(order, terms, &pointer)));
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        self.sell_in_tx(conn, order, &lines).await
    }

    /// Cancels units of a line that are not shipped.
    pub(super) async fn cancel_line_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        line: Uuid,
        cancellation: &LineCancellation,
    ) -> Result<Order> {
        let line = line_of(order, line)?;
        let quantity = open_units(line, cancellation.quantity, line.open())?;
        self.give_up_in_tx(conn, order, line, quantity).await?;
        self.updated_in_tx(conn, order, cancellation.reason.as_deref(), Vec::new(), Vec::new()).await
    }

    /// Sells something else in the place of units that are not shipped, at what these were to cost.
    pub(super) async fn substitute_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        line: Uuid,
        instead: &Substitution,
    ) -> Result<Order> {
        let line = line_of(order, line)?;
        if line.sku == instead.sku.0 {
            return Err(Error::Invalid(vec![Fault::new("/sku", "same", "this is what the line is of already")]));
        }
        let waiting = if line.backordered > 0 { line.backordered } else { line.open() };
        let quantity = open_units(line, instead.quantity, waiting)?;
        let terms = match &instead.unit_price {
            Some(price) => Terms { unit_price: Some(price.clone()), discount: 0, tax_rate: line.tax_rate },
            None => pricing::moved(&line.terms(), line.quantity, line.quantity - line.cancelled, quantity),
        };
        let listed = self.inventory.listed(conn, std::slice::from_ref(&instead.sku.0)).await?;
        let Some(product) = listed.get(&instead.sku.0) else {
            let detail = format!("there is no product {}", instead.sku.0);
            return Err(Error::Invalid(vec![Fault::new("/sku", "unknown", detail)]));
        };
        if let Some(fault) = price_fault(order, &terms, "/unit_price") {
            return Err(Error::Invalid(vec![fault]));
        }
        let draft = DraftLine::new(terms, None, Some(product), repo::clock(conn).await?);
        let new = [(draft, Demand { sku: instead.sku.0.clone(), quantity, warehouse: None })];
        self.inventory.lock_in_tx(conn, &[&line.sku, &instead.sku.0]).await?;
        self.give_up_in_tx(conn, order, line, quantity).await?;
        self.sell_in_tx(conn, order, &new).await
    }

    /// Promises what is not shipped from one warehouse instead, all that is asked for or nothing.
    pub(super) async fn reallocate_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        to: &Reallocation,
    ) -> Result<Order> {
        let warehouse = to.warehouse.0.as_str();
        let elsewhere = |line: &OrderLine| line.open() - line.allocated_in(warehouse);
        let units: Vec<(Uuid, i64)> = match &to.lines {
            None => order.lines.iter().map(|line| (line.id, elsewhere(line))).filter(|(_, units)| *units > 0).collect(),
            Some(asked) => {
                let wanted: Vec<(&str, i64)> =
                    asked.iter().map(|line| (line.sku.0.as_str(), line.quantity.0)).collect();
                let taken = distribute(&order.lines, &wanted, elsewhere, |sku, open| {
                    format!("{open} of {sku} are open and not allocated in {warehouse}")
                })?;
                summed(taken.into_iter().map(|(line, quantity, _)| (line.id, quantity)))
            }
        };
        if units.is_empty() {
            let detail = format!("all that is open of this order is allocated in {warehouse} already");
            return Err(Error::Conflict(vec![Fault::new("/warehouse", "nothing_elsewhere", detail)]));
        }
        self.inventory.reallocate_in_tx(conn, order.head.id, warehouse, &units).await?;
        self.updated_in_tx(conn, order, None, Vec::new(), Vec::new()).await
    }

    async fn give_up_in_tx(&self, conn: &mut PgConnection, order: &Order, line: &OrderLine, units: i64) -> Result<()> {
        self.inventory.give_up_in_tx(conn, order.head.id, &[(line.id, units)]).await?;
        Ok(repo::goods::add_cancelled(conn, &[(line.id, units)]).await?)
    }

    async fn sell_in_tx(&self, conn: &mut PgConnection, order: &Order, new: &[(DraftLine, Demand)]) -> Result<Order> {
        if order.head.status != OrderStatus::Placed {
            return Err(Error::State("only to an order that is placed can something be added".to_owned()));
        }
        if order.lines.len() + new.len() > MOST_LINES {
            let detail = format!("an order has at most {MOST_LINES} lines, and this one has {}", order.lines.len());
            return Err(Error::Conflict(vec![Fault::new("/lines", "too_many", detail)]));
        }
        let ship_to = order.head.shipping_address.as_ref().map_or_else(Location::default, Address::location);
        let wanted = Allocate {
            order_id: order.head.id,
            lines: new.iter().map(|(line, _)| line.id).collect(),
            wish: Wish {
                demands: new.iter().map(|(_, demand)| demand.clone()).collect(),
                channel: order.head.channel.clone(),
                ship_to,
            },
            // Who adds something waits for that from now on.
            placed_at: repo::clock(conn).await?,
            is_sold: false,
        };
        let mut writes = Writes::default();
        let committed = self.inventory.allocate_in_tx(conn, &mut writes, &wanted).await?;
        writes.write_out(conn).await?;
        repo::add_lines(conn, order.head.id, new).await?;
        self.updated_in_tx(conn, order, None, committed.changes, committed.served).await
    }

    /// Derives what follows from a change, and tells of it, between news that go before and after.
    async fn updated_in_tx(
        &self,
        conn: &mut PgConnection,
        before: &Order,
        reason: Option<&str>,
        first: Vec<Event>,
        last: Vec<Event>,
    ) -> Result<Order> {
        let (order, completed) = self.refresh_in_tx(conn, before.head.id, reason).await?;
        let is_cancelled = order.head.status == OrderStatus::Cancelled && before.head.status != OrderStatus::Cancelled;
        let own = if is_cancelled { "order.cancelled" } else { "order.updated" };
        let news = first.into_iter().chain([events::of(own, &order)]).chain(completed).chain(last);
        Events::publish_in_tx(conn, &news.collect::<Vec<_>>()).await?;
        Ok(order)
    }
}

fn line_of(order: &Order, id: Uuid) -> Result<&OrderLine> {
    order.lines.iter().find(|line| line.id == id).ok_or(Error::NoLine(id))
}

/// How many units of a line are meant; they must not be shipped or cancelled.
fn open_units(line: &OrderLine, asked: Option<Quantity>, default: i64) -> Result<i64> {
    let open = line.open();
    if open == 0 {
        return Err(Error::State("nothing of this line is open: all of it is shipped or cancelled".to_owned()));
    }
    let units = asked.map_or(default, |quantity| quantity.0);
    if units > open {
        let detail = format!("{open} of this line are neither shipped nor cancelled");
        return Err(Error::Conflict(vec![Fault::new("/quantity", "too_many", detail)]));
    }
    Ok(units)
}

/// What would make the total of an order unknown.
fn price_fault(order: &Order, terms: &Terms, pointer: &str) -> Option<Fault> {
    let total = order.total.as_ref()?;
    match &terms.unit_price {
        Some(price) if price.currency == total.currency => None,
        Some(_) => {
            let detail = format!("the order is priced in {}", total.currency);
            Some(Fault::new(format!("{pointer}/currency"), "differs", detail))
        }
        None => {
            let detail = "the product has no price of its own, and all other lines have one";
            Some(Fault::new(pointer, "required", detail))
        }
    }
}

fn summed(units: impl Iterator<Item = (Uuid, i64)>) -> Vec<(Uuid, i64)> {
    let mut sums: Vec<(Uuid, i64)> = Vec::new();
    for (line, quantity) in units {
        match sums.iter_mut().find(|(known, _)| *known == line) {
            Some((_, sum)) => *sum += quantity,
            None => sums.push((line, quantity)),
        }
    }
    sums
}
