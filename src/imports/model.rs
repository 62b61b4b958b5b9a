//! Orders that were placed elsewhere. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::orders::{Customer, NewOrder, NewOrderLine, Order, ShippingPrice};
use crate::platform::clock::Timestamp;
use crate::warehouses::{Address, Code};

/// That the channel has the money
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"method": "marketplace"}))]
pub struct PaidElsewhere {
    /// How it was paid, in a word of yours; `paid_elsewhere` when left out
    #[schema(pattern = "^[a-z0-9_]{1,32}$")]
    pub method: Option<String>,
    /// In minor units of the order's currency; all of it when left out
    #[schema(minimum = 1, maximum = 1_000_000_000_000i64)]
    pub amount: Option<i64>,
}

/// An order as a marketplace or a till has it
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "reference": "302-4711", "lines": [{"sku": "TEA-1", "quantity": 2, "unit_price": {"amount": 599, "currency": "EUR"}}],
    "customer": {"name": "Ada Shopper"}, "paid": {"method": "marketplace"},
}))]
pub struct ImportedOrder {
    /// What the channel calls it: the same is the same order
    #[schema(min_length = 1, max_length = 200)]
    pub reference: String,
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<NewOrderLine>,
    /// Who buys, if known by an id, as for `POST /v1/orders`
    pub customer_id: Option<Uuid>,
    pub customer: Option<Customer>,
    pub shipping_address: Option<Address>,
    pub shipping_price: Option<ShippingPrice>,
    /// Whether tax is part of the prices, or comes on top of them
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub prices_include_tax: bool,
    #[schema(max_length = 2000)]
    pub note: Option<String>,
    /// When the customer placed it, if not now
    pub placed_at: Option<Timestamp>,
    /// Where it is paid already
    pub paid: Option<PaidElsewhere>,
}

fn yes() -> bool {
    true
}

impl ImportedOrder {
    pub(super) fn order(&self, channel: &str) -> NewOrder {
        NewOrder {
            reservation_id: None,
            lines: Some(self.lines.clone()),
            channel: Some(Code(channel.to_owned())),
            customer_id: self.customer_id,
            customer: self.customer.clone(),
            shipping_address: self.shipping_address.clone(),
            shipping_price: self.shipping_price.clone(),
            prices_include_tax: self.prices_include_tax,
            ship_together: false,
            reference: Some(self.reference.clone()),
            note: self.note.clone(),
            placed_at: self.placed_at,
        }
    }
}

/// Units that were sold and are not there
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 1}))]
pub struct Oversold {
    pub sku: String,
    pub quantity: i64,
}

/// An order that was taken over
#[derive(Debug, Serialize, ToSchema)]
pub struct Import {
    pub order: Order,
    /// What was promised when it was taken over although it was not there, nor may be backordered
    #[schema(max_items = 1000)]
    pub oversold: Vec<Oversold>,
}

impl Import {
    /// As it may be told for ever: without what an erasure takes out.
    pub(super) fn trace(&self) -> Self {
        Self { order: self.order.trace(), oversold: self.oversold.clone() }
    }
}
