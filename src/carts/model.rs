//! Carts as they are asked for, and as they are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Error;
use crate::access::Limits;
use crate::inventory::Sku;
use crate::orders::{Priced, ShippingPrice, Terms, Totals, share, totals};
use crate::platform::clock::Timestamp;
use crate::platform::id;
use crate::platform::money::Money;
use crate::platform::problem::{Fault, Problem};
use crate::platform::quantity::{MAX_QUANTITY, Quantity};
use crate::reservations::{NewReservation, NewReservationLine, ReservationLine};
use crate::warehouses::Code;

/// How long a cart holds its stock when the call does not say, in seconds.
const DEFAULT_TTL: i64 = 1800;

const MAX_LINES: usize = 500;

fn default_ttl() -> i64 {
    DEFAULT_TTL
}

fn yes() -> bool {
    true
}

/// What goes into a cart
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 2}))]
pub struct NewCartLine {
    pub sku: Sku,
    pub quantity: Quantity,
    /// Only from this warehouse
    pub warehouse: Option<Code>,
    /// Price of one base unit; the product's price of that moment when left out
    pub unit_price: Option<Money>,
    /// Off the whole line
    pub discount: Option<Money>,
    /// In hundredths of a percent: 1900 is 19 %
    #[schema(minimum = 0, maximum = 10000)]
    pub tax_rate: Option<i32>,
}

/// Something off the whole cart, shared out among its lines in proportion
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "Welcome", "amount": {"amount": 100, "currency": "EUR"}}))]
pub struct CartDiscount {
    /// As the customer knows it
    #[schema(min_length = 1, max_length = 200)]
    pub label: String,
    pub amount: Money,
}

/// A cart to begin
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-1", "quantity": 2}], "reference": "session-4711"}))]
pub struct NewCart {
    /// The channel that sells: its warehouses, buffers and sourcing rules apply
    pub channel: Option<Code>,
    /// Whatever you call it: a session, a table, a till
    #[schema(min_length = 1, max_length = 200)]
    pub reference: Option<String>,
    /// How long it holds its stock after each change, in seconds on the database's clock: up to a week
    #[serde(default = "default_ttl")]
    #[schema(minimum = 1, maximum = 604_800, default = 1800)]
    pub ttl_seconds: i64,
    /// Whether tax is part of the prices, or comes on top of them
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub prices_include_tax: bool,
    pub shipping_price: Option<ShippingPrice>,
    #[serde(default)]
    #[schema(max_items = 20)]
    pub discounts: Vec<CartDiscount>,
    #[serde(default)]
    #[schema(max_items = 500)]
    pub lines: Vec<NewCartLine>,
}

impl NewCart {
    /// Keeps the request to what its caller is limited to, and fills in what leaves no choice.
    pub(super) fn keep_within(&mut self, limits: &Limits) -> Result<(), Problem> {
        self.channel = limits.channels.choose(self.channel.take().map(|code| code.0))?.map(Code);
        self.lines.iter_mut().try_for_each(|line| line.keep_within(limits))
    }
}

impl NewCartLine {
    pub(super) fn keep_within(&mut self, limits: &Limits) -> Result<(), Problem> {
        self.warehouse = limits.warehouses.choose(self.warehouse.take().map(|code| code.0))?.map(Code);
        Ok(())
    }
}

/// What of a cart can be changed, but for its lines
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"discounts": [{"label": "Welcome", "amount": {"amount": 100, "currency": "EUR"}}]}))]
pub struct CartTerms {
    /// Whatever you call it: a session, a table, a till
    #[schema(min_length = 1, max_length = 200)]
    pub reference: Option<String>,
    /// Whether tax is part of the prices, or comes on top of them
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub prices_include_tax: bool,
    pub shipping_price: Option<ShippingPrice>,
    #[serde(default)]
    #[schema(max_items = 20)]
    pub discounts: Vec<CartDiscount>,
}

/// What of a line can be changed
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quantity": 3}))]
pub struct CartLineTerms {
    pub quantity: Quantity,
    /// Price of one base unit; null for the product's price of this moment
    pub unit_price: Option<Money>,
    /// Off the whole line
    pub discount: Option<Money>,
    /// In hundredths of a percent: 1900 is 19 %
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10000, default = 0)]
    pub tax_rate: i32,
}

/// Where a cart is in its life
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CartStatus {
    /// Its stock is held
    Open,
    /// Its time ran out, or it was given up: its stock is free. The next change opens it again, if there is stock
    Abandoned,
    /// It went into another
    Merged,
    /// It became an order
    CheckedOut,
}

impl CartStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Abandoned => "abandoned",
            Self::Merged => "merged",
            Self::CheckedOut => "checked_out",
        }
    }

    /// Text of our own column, which a CHECK keeps to these four.
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "abandoned" => Self::Abandoned,
            "merged" => Self::Merged,
            "checked_out" => Self::CheckedOut,
            _ => Self::Open,
        }
    }
}

/// A product in a cart
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "sku": "TEA-1", "quantity": 2, "warehouse": null,
    "unit_price": {"amount": 599, "currency": "EUR"}, "discount": null, "tax_rate": 1900, "backordered": 0
}))]
pub struct CartLine {
    pub id: Uuid,
    pub sku: String,
    pub quantity: i64,
    /// The warehouse that the line insists on
    pub warehouse: Option<String>,
    pub unit_price: Option<Money>,
    /// Off the whole line
    pub discount: Option<Money>,
    /// In hundredths of a percent: 1900 is 19 %
    pub tax_rate: i32,
    /// Units promised beyond what is in stock
    pub backordered: i64,
}

impl CartLine {
    fn terms(&self) -> Terms {
        let discount = self.discount.as_ref().map_or(0, |discount| discount.amount);
        Terms { unit_price: self.unit_price.clone(), discount, tax_rate: self.tax_rate }
    }

    /// What it costs less its own discount: what a discount of the whole cart is shared out by.
    fn worth(&self) -> i64 {
        let terms = self.terms();
        let price = terms.unit_price.map_or(0, |price| price.amount);
        price.saturating_mul(self.quantity).saturating_sub(terms.discount)
    }

    pub(super) fn changeable(&self) -> CartLineTerms {
        CartLineTerms {
            quantity: Quantity(self.quantity),
            unit_price: self.unit_price.clone(),
            discount: self.discount.clone(),
            tax_rate: self.tax_rate,
        }
    }

    pub(super) fn change(&mut self, to: CartLineTerms, price: Option<Money>) {
        self.quantity = to.quantity.0;
        self.unit_price = to.unit_price.or(price);
        self.discount = to.discount;
        self.tax_rate = to.tax_rate;
    }
}

/// What a shopper is about to buy, held while it is open
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cart {
    pub id: Uuid,
    pub status: CartStatus,
    pub channel: Option<String>,
    pub reference: Option<String>,
    pub lines: Vec<CartLine>,
    pub discounts: Vec<CartDiscount>,
    pub shipping_price: Option<ShippingPrice>,
    /// Whether tax is part of the prices, or comes on top of them
    pub prices_include_tax: bool,
    /// What is to be paid; null unless all lines are priced in one currency, and where it is more than an amount may be
    pub totals: Option<Totals>,
    /// How long it holds its stock after each change, in seconds
    pub ttl_seconds: i64,
    /// What holds its stock; null while it is empty
    pub reservation_id: Option<Uuid>,
    /// Until then its stock is held
    pub expires_at: Timestamp,
    /// The cart that it went into
    pub merged_into: Option<Uuid>,
    /// The order that it became
    pub order_id: Option<Uuid>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Cart {
    pub(super) fn new(new: &NewCart, now: Timestamp) -> Self {
        Self {
            id: id::new(),
            status: CartStatus::Open,
            channel: new.channel.as_ref().map(|code| code.0.clone()),
            reference: new.reference.clone(),
            lines: Vec::new(),
            discounts: new.discounts.clone(),
            shipping_price: new.shipping_price.clone(),
            prices_include_tax: new.prices_include_tax,
            totals: None,
            ttl_seconds: new.ttl_seconds,
            reservation_id: None,
            expires_at: now.plus_seconds(new.ttl_seconds),
            merged_into: None,
            order_id: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether a caller with these limits may see and touch it: all of it lies inside.
    pub(super) fn is_within(&self, limits: &Limits) -> bool {
        limits.channels.reaches(self.channel.as_deref())
            && self.lines.iter().all(|line| limits.warehouses.reaches(line.warehouse.as_deref()))
    }

    /// Refuses what nobody may change any more. One that was abandoned may be taken up again.
    pub(super) fn check_changeable(&self) -> Result<(), Error> {
        match self.status {
            CartStatus::Open | CartStatus::Abandoned => Ok(()),
            CartStatus::Merged | CartStatus::CheckedOut => Err(Error::Ended(self.status)),
        }
    }

    pub(super) fn position(&self, line: Uuid) -> Result<usize, Error> {
        self.lines.iter().position(|found| found.id == line).ok_or(Error::NoLine(line))
    }

    /// Puts units in: to the line of the same product from the same warehouse, or in a new one. Returns which.
    pub(super) fn add(&mut self, new: &NewCartLine, price: Option<&Money>) -> Result<usize, Fault> {
        let warehouse = new.warehouse.as_ref().map(|code| code.0.as_str());
        let same = |line: &CartLine| line.sku == new.sku.0 && line.warehouse.as_deref() == warehouse;
        let n = self.lines.iter().position(same).unwrap_or(self.lines.len());
        if n == self.lines.len() {
            if n == MAX_LINES {
                return Err(Fault::new("/sku", "too_many", format!("a cart has at most {MAX_LINES} lines")));
            }
            self.lines.push(CartLine {
                id: id::new(),
                sku: new.sku.0.clone(),
                quantity: 0,
                warehouse: warehouse.map(str::to_owned),
                unit_price: price.cloned(),
                discount: None,
                tax_rate: 0,
                backordered: 0,
            });
        }
        let line = &mut self.lines[n];
        line.quantity += new.quantity.0;
        if line.quantity > MAX_QUANTITY {
            return Err(Fault::new("/quantity", "too_many", format!("a line has at most {MAX_QUANTITY} units")));
        }
        line.unit_price = new.unit_price.clone().or_else(|| line.unit_price.take());
        line.discount = new.discount.clone().or_else(|| line.discount.take());
        line.tax_rate = new.tax_rate.unwrap_or(line.tax_rate);
        Ok(n)
    }

    /// Puts all of another in; what both name has the price it has here.
    pub(super) fn take_in(&mut self, other: &Cart) -> Result<(), Error> {
        for line in &other.lines {
            let same = |own: &&mut CartLine| own.sku == line.sku && own.warehouse == line.warehouse;
            match self.lines.iter_mut().find(same) {
                Some(own) => own.quantity = (own.quantity + line.quantity).min(MAX_QUANTITY),
                None => self.lines.push(line.clone()),
            }
        }
        self.ttl_seconds = self.ttl_seconds.max(other.ttl_seconds);
        if self.lines.len() > MAX_LINES {
            let detail = format!("together they have more than {MAX_LINES} lines");
            return Err(Error::Invalid(vec![Fault::new("/from", "too_many", detail)]));
        }
        Ok(())
    }

    /// What is to be held for it.
    pub(super) fn request(&self) -> NewReservation {
        let lines = self.lines.iter().map(|line| NewReservationLine {
            sku: Sku(line.sku.clone()),
            quantity: Quantity(line.quantity),
            warehouse: line.warehouse.clone().map(Code),
        });
        NewReservation {
            lines: lines.collect(),
            ttl_seconds: self.ttl_seconds,
            owner: Some(format!("cart:{}", self.id)),
            replace: None,
            channel: self.channel.clone().map(Code),
            allow_partial: false,
            reference: self.reference.clone(),
            ship_to: None,
        }
    }

    pub(super) fn is_held_as(&mut self, held: &[ReservationLine]) {
        self.lines.iter_mut().zip(held).for_each(|(line, held)| line.backordered = held.backordered);
    }

    /// What each line costs, with its share of the discounts of the whole.
    pub(super) fn terms(&self) -> Vec<Terms> {
        let off: i64 = self.discounts.iter().fold(0, |sum, discount| sum.saturating_add(discount.amount.amount));
        let weights: Vec<i64> = self.lines.iter().map(CartLine::worth).collect();
        let lines = self.lines.iter().zip(share(off, &weights));
        lines.map(|(line, off)| Terms { discount: line.terms().discount + off, ..line.terms() }).collect()
    }

    pub(super) fn add_up(&mut self) {
        let terms = self.terms();
        let priced = terms.iter().zip(&self.lines);
        let priced = priced.map(|(terms, line)| Priced { terms, quantity: line.quantity, left: line.quantity });
        self.totals = totals(&priced.collect::<Vec<_>>(), self.shipping_price.as_ref(), self.prices_include_tax);
    }

    /// What its prices do not allow, with pointers as into the whole cart.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let currency = self.lines.iter().find_map(|line| line.unit_price.as_ref()).map(|price| price.currency.as_str());
        let mut differs = |pointer: String, money: &Money| {
            if currency.is_some_and(|currency| currency != money.currency) {
                let detail = format!("the cart is priced in {}", currency.unwrap_or_default());
                faults.push(Fault::new(pointer, "differs", detail));
            }
        };
        for (n, line) in self.lines.iter().enumerate() {
            line.unit_price.iter().for_each(|it| differs(format!("/lines/{n}/unit_price/currency"), it));
            line.discount.iter().for_each(|it| differs(format!("/lines/{n}/discount/currency"), it));
        }
        for (n, discount) in self.discounts.iter().enumerate() {
            differs(format!("/discounts/{n}/amount/currency"), &discount.amount);
        }
        self.shipping_price.iter().for_each(|it| differs("/shipping_price/price/currency".to_owned(), &it.price));
        for (n, line) in self.lines.iter().enumerate() {
            if line.worth() < 0 {
                let pointer = format!("/lines/{n}/discount/amount");
                faults.push(Fault::new(pointer, "too_large", "this is more than the line costs"));
            }
        }
        faults
    }

    pub(super) fn changeable(&self) -> CartTerms {
        CartTerms {
            reference: self.reference.clone(),
            prices_include_tax: self.prices_include_tax,
            shipping_price: self.shipping_price.clone(),
            discounts: self.discounts.clone(),
        }
    }

    pub(super) fn change(&mut self, to: CartTerms) {
        self.reference = to.reference;
        self.prices_include_tax = to.prices_include_tax;
        self.shipping_price = to.shipping_price;
        self.discounts = to.discounts;
    }
}

/// What to list.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub status: Option<CartStatus>,
    /// Through any of these
    pub channels: Option<Vec<String>>,
    pub reference: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: i64) -> NewCartLine {
        let (sku, quantity) = (Sku(sku.to_owned()), Quantity(quantity));
        NewCartLine { sku, quantity, warehouse: None, unit_price: None, discount: None, tax_rate: None }
    }

    fn euro(amount: i64) -> Money {
        Money { amount, currency: "EUR".to_owned() }
    }

    fn cart(lines: &[(&str, i64, i64)]) -> Cart {
        let new = serde_json::from_value(serde_json::json!({})).expect("all has a default");
        let mut cart = Cart::new(&new, Timestamp::now());
        for (sku, quantity, price) in lines {
            cart.add(&line(sku, *quantity), Some(&euro(*price))).expect("there is room");
        }
        cart.add_up();
        cart
    }

    #[test]
    fn what_is_put_in_twice_is_one_line_at_its_first_price() {
        let mut cart = cart(&[("TEA", 1, 500), ("MUG", 1, 900)]);
        assert_eq!(cart.add(&line("TEA", 2), Some(&euro(600))).expect("there is room"), 0);
        let lines = cart.lines.iter().map(|line| (line.sku.as_str(), line.quantity, line.unit_price.clone()));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines, [("TEA", 3, Some(euro(500))), ("MUG", 1, Some(euro(900)))]);
    }

    #[test]
    fn a_discount_of_the_whole_is_shared_out_and_never_more_than_it() {
        let mut cart = cart(&[("TEA", 2, 500), ("MUG", 1, 500)]);
        cart.discounts = vec![CartDiscount { label: "Welcome".to_owned(), amount: euro(100) }];
        assert_eq!(cart.terms().iter().map(|terms| terms.discount).collect::<Vec<_>>(), [67, 33]);
        cart.discounts[0].amount.amount = 99_999;
        cart.add_up();
        assert_eq!(cart.totals.map(|totals| totals.total), Some(euro(0)));
    }

    #[test]
    fn every_fault_of_the_prices_is_told() {
        let mut cart = cart(&[("TEA", 2, 500), ("MUG", 1, 500)]);
        cart.lines[1].unit_price = Some(Money { amount: 1, currency: "GBP".to_owned() });
        cart.lines[0].discount = Some(euro(1001));
        let found: Vec<String> = cart.faults().into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(found, ["/lines/1/unit_price/currency", "/lines/0/discount/amount"]);
    }
}
