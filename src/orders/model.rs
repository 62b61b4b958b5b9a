//! Orders as they are asked for, and as they are.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::check_past;
use super::pricing::{Priced, ShippingPrice, Terms, Totals, refund, totals};
use crate::access::Limits;
use crate::customers::KnownCustomer;
use crate::inventory::{Claim, Demand, Disposition, Sku};
use crate::platform::clock::Timestamp;
use crate::platform::money::Money;
use crate::platform::problem::{Fault, Problem};
use crate::platform::quantity::Quantity;
use crate::reservations::ReservationLine;
use crate::warehouses::{Address, Code};

/// What is bought
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 2}))]
pub struct NewOrderLine {
    pub sku: Sku,
    pub quantity: Quantity,
    /// Only from this warehouse
    pub warehouse: Option<Code>,
    /// Price of one base unit; the product's price when left out
    pub unit_price: Option<Money>,
    /// Off the whole line
    pub discount: Option<Money>,
    /// In hundredths of a percent: 1900 is 19 %
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10000, default = 0)]
    pub tax_rate: i32,
    /// The day for which you promised it; of a product that is not out yet, that on which it comes out when left out
    pub promised_for: Option<NaiveDate>,
}

impl NewOrderLine {
    pub(super) fn demand(&self) -> (Demand, Terms) {
        let (sku, quantity) = (self.sku.0.clone(), self.quantity.0);
        let warehouse = self.warehouse.as_ref().map(|code| code.0.clone());
        let discount = self.discount.as_ref().map_or(0, |discount| discount.amount);
        let terms = Terms { unit_price: self.unit_price.clone(), discount, tax_rate: self.tax_rate };
        (Demand { sku, quantity, warehouse }, terms)
    }
}

/// What a line of a reservation becomes.
pub(super) fn reserved(line: &ReservationLine) -> Demand {
    Demand { sku: line.sku.clone(), quantity: line.quantity, warehouse: line.warehouse.clone() }
}

/// Who buys
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"name": "Ada Shopper", "email": "ada@example.com", "reference": "C-17"}))]
pub struct Customer {
    #[schema(max_length = 200)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[schema(max_length = 254)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[schema(max_length = 50)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Whatever you call this customer
    #[schema(max_length = 200)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What an order says of a known customer.
pub(super) fn copied(known: &KnownCustomer) -> Customer {
    let fields = known.fields.clone();
    Customer { name: fields.name, email: fields.email, phone: fields.phone, reference: fields.reference }
}

/// An order to place: from a reservation, or from lines
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-1", "quantity": 2}], "customer": {"name": "Ada Shopper"}, "reference": "WEB-1001"}))]
pub struct NewOrder {
    /// The reservation whose lines are bought; give this or `lines`
    pub reservation_id: Option<Uuid>,
    /// What is bought, when it was not reserved before; all of it must be there or may be backordered
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Option<Vec<NewOrderLine>>,
    pub channel: Option<Code>,
    /// Who buys, if known by an id. What else the order says of that is copied from there where `customer` is left out,
    /// and so is the default shipping address
    pub customer_id: Option<Uuid>,
    pub customer: Option<Customer>,
    pub shipping_address: Option<Address>,
    pub shipping_price: Option<ShippingPrice>,
    /// Whether tax is part of the prices, or comes on top of them
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub prices_include_tax: bool,
    /// Whether nothing is sent while some of it waits for stock
    #[serde(default)]
    #[schema(default = false)]
    pub ship_together: bool,
    /// Whatever you call the order
    #[schema(min_length = 1, max_length = 200)]
    pub reference: Option<String>,
    #[schema(max_length = 2000)]
    pub note: Option<String>,
    /// When the customer placed it, if not now
    pub placed_at: Option<Timestamp>,
}

fn yes() -> bool {
    true
}

impl NewOrder {
    /// Keeps the request to what its caller is limited to, and fills in what leaves no choice.
    pub(super) fn keep_within(&mut self, limits: &Limits) -> Result<(), Problem> {
        self.keep_customers_within(limits)?;
        // An order from a reservation is sold where that was.
        if self.channel.is_some() || self.reservation_id.is_none() {
            self.channel = limits.channels.choose(self.channel.take().map(|code| code.0))?.map(Code);
        }
        for line in self.lines.iter_mut().flatten() {
            line.warehouse = limits.warehouses.choose(line.warehouse.take().map(|code| code.0))?.map(Code);
        }
        Ok(())
    }

    /// Who is limited does not see customers, so nothing of them is copied into what he gets to see.
    pub fn keep_customers_within(&self, limits: &Limits) -> Result<(), Problem> {
        if self.customer_id.is_none() || self.customer.is_some() || limits == &Limits::default() {
            return Ok(());
        }
        let detail = "this caller is limited and does not see customers, so say who buys";
        Err(Problem::fault("/customer", "required", detail))
    }

    pub(super) fn faults(&self, now: Timestamp) -> Vec<Fault> {
        let mut faults = Vec::new();
        match (&self.reservation_id, &self.lines) {
            (None, None) => faults.push(Fault::new("/lines", "required", "either reservation_id or lines is needed")),
            (Some(_), Some(_)) => {
                faults.push(Fault::new("/lines", "exclusive", "give reservation_id or lines, not both"));
            }
            _ => {}
        }
        faults.extend(check_past(self.placed_at, now, "/placed_at"));
        faults
    }
}

/// Where an order is in its life
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    Draft,
    Placed,
    Completed,
    Cancelled,
}

/// How far it is paid
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    Unpaid,
    Authorised,
    Paid,
    PartiallyRefunded,
    Refunded,
    Failed,
}

/// How far it is shipped
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FulfilmentStatus {
    Unfulfilled,
    PartiallyFulfilled,
    Fulfilled,
    /// All that was shipped came back
    Returned,
}

/// Where a shipment is
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShipmentStatus {
    Pending,
    Picked,
    Packed,
    Shipped,
    Delivered,
}

/// An order without what belongs to it: its own row.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderHead {
    pub id: Uuid,
    /// Counted from 1001; gaps mean nothing
    #[schema(example = 1001)]
    pub number: i64,
    pub status: OrderStatus,
    pub payment_status: PaymentStatus,
    pub fulfilment_status: FulfilmentStatus,
    pub channel: Option<String>,
    pub reference: Option<String>,
    pub customer_id: Option<Uuid>,
    pub customer: Customer,
    pub shipping_address: Option<Address>,
    pub shipping_price: Option<ShippingPrice>,
    /// Whether tax is part of the prices, or comes on top of them
    pub prices_include_tax: bool,
    /// Whether nothing is sent while some of it waits for stock
    pub ship_together: bool,
    pub note: Option<String>,
    pub reservation_id: Option<Uuid>,
    pub cancel_reason: Option<String>,
    /// Why it must not be shipped yet
    pub held_for: Option<String>,
    pub placed_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A line's own row.
pub(super) struct LineRecord {
    pub id: Uuid,
    pub order_id: Uuid,
    pub sku: String,
    pub quantity: i64,
    pub terms: Terms,
    pub shipped: i64,
    pub returned: i64,
    pub cancelled: i64,
    pub promised_for: Option<NaiveDate>,
}

/// Units promised from one warehouse
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"warehouse": "LONDON", "quantity": 2}))]
pub struct AllocatedPart {
    pub warehouse: String,
    pub quantity: i64,
}

/// What was bought, and what became of it:
/// `quantity = allocated + backordered + shipped + cancelled`, and `returned` is part of `shipped`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "sku": "TEA-1", "quantity": 2, "unit_price": {"amount": 599, "currency": "EUR"},
    "discount": null, "tax_rate": 1900, "allocated": 2, "allocations": [{"warehouse": "LONDON", "quantity": 2}], "backordered": 0, "shipped": 0, "returned": 0, "cancelled": 0,
    "promised_for": "2026-11-27"
}))]
pub struct OrderLine {
    pub id: Uuid,
    pub sku: String,
    pub quantity: i64,
    pub unit_price: Option<Money>,
    /// Off the whole line; of units that are cancelled, their part is not taken off
    pub discount: Option<Money>,
    /// In hundredths of a percent: 1900 is 19 %
    pub tax_rate: i32,
    pub allocated: i64,
    pub allocations: Vec<AllocatedPart>,
    /// Waits for stock
    pub backordered: i64,
    pub shipped: i64,
    pub returned: i64,
    pub cancelled: i64,
    /// The day for which it was promised
    pub promised_for: Option<NaiveDate>,
}

impl OrderLine {
    fn new(record: LineRecord, claim: Option<&Claim>) -> Self {
        let parts = claim.map(|claim| claim.sourced.parts.as_slice()).unwrap_or_default();
        Self {
            id: record.id,
            sku: record.sku,
            quantity: record.quantity,
            discount: record.terms.discount(),
            unit_price: record.terms.unit_price,
            tax_rate: record.terms.tax_rate,
            allocated: parts.iter().map(|part| part.quantity).sum(),
            allocations: parts
                .iter()
                .map(|part| AllocatedPart { warehouse: part.warehouse.clone(), quantity: part.quantity })
                .collect(),
            backordered: claim.map_or(0, |claim| claim.sourced.backordered),
            shipped: record.shipped,
            returned: record.returned,
            cancelled: record.cancelled,
            promised_for: record.promised_for,
        }
    }

    pub(super) fn terms(&self) -> Terms {
        let discount = self.discount.as_ref().map_or(0, |discount| discount.amount);
        Terms { unit_price: self.unit_price.clone(), discount, tax_rate: self.tax_rate }
    }

    /// Units neither shipped nor cancelled.
    pub fn open(&self) -> i64 {
        self.quantity - self.shipped - self.cancelled
    }

    pub(super) fn allocated_in(&self, warehouse: &str) -> i64 {
        self.allocations.iter().filter(|part| part.warehouse == warehouse).map(|part| part.quantity).sum()
    }
}

/// Units of a product in a shipment
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"order_line_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "sku": "TEA-1", "quantity": 2}))]
pub struct ShipmentLine {
    pub order_line_id: Uuid,
    pub sku: String,
    pub quantity: i64,
}

/// Goods that left one warehouse for one order
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1d", "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "warehouse": "LONDON",
    "status": "shipped", "carrier": "Royal Mail", "tracking_number": "RM123456789GB",
    "lines": [{"order_line_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "sku": "TEA-1", "quantity": 2}],
    "shipped_at": "2026-11-23T10:00:00.000Z", "delivered_at": null
}))]
pub struct Shipment {
    pub id: Uuid,
    pub order_id: Uuid,
    pub warehouse: String,
    pub status: ShipmentStatus,
    pub carrier: Option<String>,
    pub tracking_number: Option<String>,
    pub lines: Vec<ShipmentLine>,
    pub shipped_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
}

/// Units that came back
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"order_line_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "sku": "TEA-1", "quantity": 1, "disposition": "restock", "warehouse": "LONDON"}))]
pub struct ReturnLine {
    pub order_line_id: Uuid,
    pub sku: String,
    pub quantity: i64,
    pub disposition: Disposition,
    pub warehouse: String,
}

/// Goods that came back
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1e", "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "reason": "too strong",
    "received_at": "2026-11-25T10:00:00.000Z",
    "lines": [{"order_line_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "sku": "TEA-1", "quantity": 1, "disposition": "restock", "warehouse": "LONDON"}]
}))]
pub struct Return {
    pub id: Uuid,
    pub order_id: Uuid,
    pub reason: Option<String>,
    pub received_at: Timestamp,
    pub lines: Vec<ReturnLine>,
}

/// What a customer bought
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Order {
    #[serde(flatten)]
    pub head: OrderHead,
    /// What is to be paid for all lines, less what was cancelled; null unless all are priced in one currency, and
    /// where it is more than an amount may be
    pub total: Option<Money>,
    /// What that is made of
    pub totals: Option<Totals>,
    pub lines: Vec<OrderLine>,
    pub shipments: Vec<Shipment>,
    pub returns: Vec<Return>,
}

impl Order {
    /// Whether a caller with these limits may see it: any of it is, or was, in a warehouse inside.
    pub(super) fn is_within(&self, limits: &Limits) -> bool {
        let allocated = self.lines.iter().flat_map(|line| &line.allocations).map(|part| part.warehouse.as_str());
        let shipped = self.shipments.iter().map(|shipment| shipment.warehouse.as_str());
        limits.reach(self.head.channel.as_deref(), allocated.chain(shipped))
    }

    /// What was paid for the units that have come back since it was so before; nothing where some have no price.
    pub fn paid_for_since(&self, before: &Order) -> Option<Money> {
        let changed = self.lines.iter().zip(&before.lines).filter(|(now, then)| now.returned > then.returned);
        let paid = changed.map(|(now, then)| {
            refund(&now.terms(), now.quantity, then.returned, now.returned, self.head.prices_include_tax)
        });
        let paid: Vec<Money> = paid.collect::<Option<_>>()?;
        let currency = &paid.first()?.currency;
        let is_one = paid.iter().all(|part| part.currency == *currency);
        Money::sum(paid.iter().map(|part| i128::from(part.amount)).sum(), currency).filter(|_| is_one)
    }

    /// Units neither shipped nor cancelled.
    pub fn open(&self) -> i64 {
        self.lines.iter().map(OrderLine::open).sum()
    }

    pub(super) fn derived_fulfilment(&self) -> FulfilmentStatus {
        let shipped: i64 = self.lines.iter().map(|line| line.shipped).sum();
        let returned: i64 = self.lines.iter().map(|line| line.returned).sum();
        match (shipped, self.open()) {
            (0, _) => FulfilmentStatus::Unfulfilled,
            (_, 1..) => FulfilmentStatus::PartiallyFulfilled,
            _ if returned == shipped => FulfilmentStatus::Returned,
            _ => FulfilmentStatus::Fulfilled,
        }
    }

    /// Cancelled when nothing is open and nothing was ever shipped; completed when all that was shipped has arrived.
    pub(super) fn derived_status(&self) -> OrderStatus {
        let shipped: i64 = self.lines.iter().map(|line| line.shipped).sum();
        let arrived = self.shipments.iter().all(|shipment| shipment.status == ShipmentStatus::Delivered);
        match (self.open(), shipped) {
            (1.., _) => OrderStatus::Placed,
            (_, 0) => OrderStatus::Cancelled,
            _ if arrived => OrderStatus::Completed,
            _ => OrderStatus::Placed,
        }
    }
}

/// What an order comes to, of its own row and those of its lines.
pub(super) fn totals_of(head: &OrderHead, lines: &[LineRecord]) -> Option<Totals> {
    let priced = lines.iter().map(|line| Priced {
        terms: &line.terms,
        quantity: line.quantity,
        left: line.quantity - line.cancelled,
    });
    totals(&priced.collect::<Vec<_>>(), head.shipping_price.as_ref(), head.prices_include_tax)
}

pub(super) fn by_order(lines: Vec<LineRecord>) -> HashMap<Uuid, Vec<LineRecord>> {
    let mut by: HashMap<Uuid, Vec<LineRecord>> = HashMap::new();
    for record in lines {
        by.entry(record.order_id).or_default().push(record);
    }
    by
}

/// Puts together what was read apart. All come in the order in which they are to be shown.
pub(super) fn assemble(
    heads: Vec<OrderHead>,
    lines: Vec<LineRecord>,
    claims: &HashMap<Uuid, Claim>,
    shipments: Vec<Shipment>,
    returns: Vec<Return>,
) -> Vec<Order> {
    let mut lines_by = by_order(lines);
    let mut shipments_by: HashMap<Uuid, Vec<Shipment>> = HashMap::new();
    for shipment in shipments {
        shipments_by.entry(shipment.order_id).or_default().push(shipment);
    }
    let mut returns_by: HashMap<Uuid, Vec<Return>> = HashMap::new();
    for r#return in returns {
        returns_by.entry(r#return.order_id).or_default().push(r#return);
    }
    let orders = heads.into_iter().map(|head| {
        let records = lines_by.remove(&head.id).unwrap_or_default();
        let totals = totals_of(&head, &records);
        let lines = records.into_iter().map(|record| {
            let claim = claims.get(&record.id);
            OrderLine::new(record, claim)
        });
        Order {
            total: totals.as_ref().map(|totals| totals.total.clone()),
            totals,
            lines: lines.collect(),
            shipments: shipments_by.remove(&head.id).unwrap_or_default(),
            returns: returns_by.remove(&head.id).unwrap_or_default(),
            head,
        }
    });
    orders.collect()
}
