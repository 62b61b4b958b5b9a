//! What goes on in the shop today: carts, orders that somebody has to look at, parcels on their way, and goods that
//! come back.

use std::collections::{BTreeMap, HashMap};

use chrono::Duration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Error;
use super::changes::Changed;
use super::data::{Fate, Order};
use super::fill::{Created, Filler, Placed};
use super::places::{FIRST_WAREHOUSE, MARKET, TRADE, WEB};

const CURRENCY: &str = "GBP";
/// Carts of so many seconds are abandoned by the time somebody looks.
const A_MOMENT: i64 = 1;

/// What is told of the demo when it is done, by their addresses.
pub struct Shown {
    pub changed: Changed,
    /// The page that a customer sees
    pub tracking: String,
    /// An order that waits to be reviewed
    pub to_review: String,
}

/// Where a parcel is reported to be, the last place last.
const JOURNEYS: [&[(&str, &str)]; 5] = [
    &[("in_transit", "Sorted")],
    &[("in_transit", "Sorted"), ("out_for_delivery", "With the driver")],
    &[("pre_transit", "Announced")],
    &[("in_transit", "Sorted"), ("available_for_pickup", "At the corner shop")],
    &[("in_transit", "Sorted"), ("failure", "Nobody was at home")],
];

/// A return in each of its states, and why; for what came of one, something else is sent.
const RETURNS: [(&str, &str); 8] = [
    ("requested", "too small"),
    ("approved", "not as pictured"),
    ("partially_received", "ordered twice"),
    ("received", "changed my mind"),
    ("exchanged", "one of the other kind, please"),
    ("closed", "a gift that was not wanted"),
    ("rejected", "used for a party"),
    ("cancelled", "wrong colour"),
];

#[derive(Debug, Deserialize)]
struct Link {
    url: String,
}

#[derive(Debug, Deserialize)]
struct Received {
    refund_due: Option<Amount>,
}

#[derive(Debug, Deserialize)]
struct Exchange {
    exchange: Option<Exchanged>,
}

#[derive(Debug, Deserialize)]
struct Exchanged {
    credit: Amount,
}

#[derive(Debug, Deserialize)]
struct Amount {
    amount: i64,
}

fn money(amount: i64) -> Value {
    json!({"amount": amount, "currency": CURRENCY})
}

impl Filler<'_> {
    /// Shoppers who are still looking, two who are gone, and two who bought.
    pub async fn carts(&self, customers: &HashMap<&str, String>) -> Result<(), Error> {
        let mut carts: BTreeMap<&str, (i64, Vec<Value>)> = BTreeMap::new();
        for line in &self.data.carts {
            let (ttl, lines) = carts.entry(&line.owner).or_default();
            *ttl = line.ttl_seconds;
            lines.push(json!({"sku": line.sku, "quantity": line.quantity}));
        }
        for (reference, (ttl_seconds, lines)) in &carts {
            let body = json!({"lines": lines, "ttl_seconds": ttl_seconds, "reference": reference, "channel": WEB});
            self.post::<Value>(&["carts"], reference, &body).await?;
        }
        for (n, (_, lines)) in carts.values().take(2).enumerate() {
            let reference = format!("cart-gone-{}", n + 1);
            let body = json!({"lines": lines, "ttl_seconds": A_MOMENT, "reference": reference, "channel": WEB});
            self.post::<Value>(&["carts"], &reference, &body).await?;
        }
        let newest = self.data.orders.iter().rev().find_map(|order| customers.get(order.customer.as_str()));
        let guest = json!({
            "reference": "WEB-2", "customer": {"name": "Grace Guest", "email": "grace.guest@example.com"},
            "shipping_address": {"line1": "3 Harbour Road", "city": "Bristol", "postal_code": "BS1 5TY", "country": "GB"},
        });
        self.check_out(1, &json!({"reference": "WEB-1", "customer_id": newest})).await?;
        self.check_out(2, &guest).await
    }

    /// Fills a cart as shops do it, and checks it out.
    async fn check_out(&self, n: usize, as_whom: &Value) -> Result<(), Error> {
        let step = |what: &str| format!("cart-bought-{n}-{what}");
        let lines: Vec<Value> = self.data.carts[n..]
            .iter()
            .take(2)
            .map(|line| json!({"sku": line.sku, "quantity": 2, "tax_rate": 2000}))
            .collect();
        let cart = json!({
            "channel": WEB, "reference": format!("cart-bought-{n}"), "lines": lines,
            "discounts": [{"label": "Welcome", "amount": money(50)}],
            "shipping_price": {"label": "Standard", "price": money(395), "tax_rate": 2000},
        });
        let cart: Created = self.post(&["carts"], &step("fill"), &cart).await?;
        let more = json!({"sku": self.data.carts[n + 3].sku, "quantity": 1, "tax_rate": 2000});
        self.post::<Value>(&["carts", &cart.id, "lines"], &step("add"), &more).await?;
        let order: Created = self.post(&["carts", &cart.id, "checkout"], &step("check-out"), as_whom).await?;
        let payment = json!({"order_id": order.id, "provider": "manual", "method": "wallet", "capture": "automatic"});
        self.post::<Value>(&["payments"], &step("pay"), &payment).await?;
        Ok(())
    }

    /// Orders of trade customers, who are reviewed and pay before anything leaves: one waits for the review, which is
    /// told, one for the money, and one to be shipped.
    pub async fn trade(&self, customers: &HashMap<&str, String>) -> Result<String, Error> {
        let workflow = json!({
            "name": "Trade customers: reviewed, paid, shipped", "channels": [TRADE],
            "steps": [
                {"kind": "review", "above": money(5000), "hours": 48},
                {"kind": "payment", "hours": 24, "deadlines": [{"method": "bank_transfer", "hours": 168}]},
                {"kind": "ship", "hours": 72},
                {"kind": "capture"},
            ],
        });
        self.client.put::<Value>(&["workflows", "trade"], &workflow).await?;
        let mut buyers = self.data.orders.iter().filter_map(|order| customers.get(order.customer.as_str()));
        let by_price = |line: &&super::data::CartLine| self.data.price_pence(&line.sku);
        let dearest = self.data.carts.iter().max_by_key(by_price);
        let cheapest = self.data.carts.iter().min_by_key(by_price);
        let mut placed = Vec::new();
        for (n, line) in [dearest, cheapest, cheapest].into_iter().flatten().enumerate() {
            let reference = format!("TRADE-{}", n + 1);
            let body = json!({
                "channel": TRADE, "reference": reference, "customer_id": buyers.next(),
                "lines": [{"sku": line.sku, "quantity": 6}],
            });
            let order: Created = self.post(&["orders"], &reference, &body).await?;
            placed.push(order.id);
        }
        if let Some(paid) = placed.last() {
            let body = json!({"order_id": paid, "provider": "manual", "method": "bank_transfer"});
            self.post::<Value>(&["payments"], "TRADE-pay", &body).await?;
        }
        Ok(placed.swap_remove(0))
    }

    /// An order of the marketplace for what nobody has left.
    pub async fn oversell(&self) -> Result<(), Error> {
        let Some(sku) = self.data.sold_out() else {
            return Ok(());
        };
        let body = json!({
            "reference": "302-4711", "lines": [{"sku": sku, "quantity": 2, "unit_price": money(self.data.price_pence(sku))}],
            "customer": {"name": "Mary Market"}, "shipping_address": {"city": "York", "country": "GB"},
            "paid": {"method": "marketplace"},
        });
        self.post::<Value>(&["channels", MARKET, "orders"], "oversold", &body).await?;
        Ok(())
    }

    /// Where the parcels are that have not arrived; the link that shows one of them to its customer is told.
    pub async fn tracking(&self, placed: &HashMap<&str, Placed>) -> Result<String, Error> {
        let mut link = String::new();
        let orders = self.data.orders.iter().filter(|order| order.delivered_minutes_ago.is_none());
        let orders = orders.filter_map(|order| Some((order, placed.get(order.reference.as_str())?)));
        for (n, (order, placed)) in orders.filter(|(_, placed)| !placed.shipments.is_empty()).enumerate() {
            let journey = JOURNEYS[n % JOURNEYS.len()];
            for (part, shipment) in placed.shipments.iter().enumerate() {
                self.report(order, placed, shipment, part, journey).await?;
            }
            if link.is_empty() && journey.len() > 1 {
                let path = ["orders", &placed.id, "tracking-link"];
                let Link { url } = self.post(&path, &format!("link-{}", order.reference), &json!({})).await?;
                link = url;
            }
        }
        Ok(link)
    }

    async fn report(
        &self,
        order: &Order,
        placed: &Placed,
        shipment: &str,
        part: usize,
        journey: &[(&str, &str)],
    ) -> Result<(), Error> {
        let city = self.data.customers.get(&order.customer).map(|customer| &customer.city);
        for (n, (status, description)) in journey.iter().enumerate() {
            // Each some way nearer to now.
            let ago = order.shipped_minutes_ago / (n as i64 + 2);
            let body = json!({
                "status": status, "description": description, "place": city, "at": self.ago(Duration::minutes(ago)),
            });
            let step = format!("track-{}-{part}-{n}", order.reference);
            self.post::<Value>(&["orders", &placed.id, "shipments", shipment, "tracking"], &step, &body).await?;
        }
        Ok(())
    }

    /// Goods that came back without a question, and what was paid for them.
    pub async fn returns(&self, placed: &HashMap<&str, Placed>) -> Result<(), Error> {
        for back in &self.data.returns {
            let Some(order) = placed.get(back.order.as_str()) else {
                continue;
            };
            let body = json!({
                "lines": [{"sku": back.sku, "quantity": back.quantity, "disposition": back.disposition,
                    "warehouse": FIRST_WAREHOUSE}],
                "reason": back.reason, "received_at": self.ago(Duration::minutes(back.minutes_ago)),
            });
            let step = format!("return-{}", back.order);
            self.post::<Value>(&["orders", &order.id, "returns"], &step, &body).await?;
            self.refund(order, &back.order, self.data.price_pence(&back.sku) * back.quantity, &back.reason).await?;
        }
        Ok(())
    }

    /// Gives money back. What a marketplace was paid is for the marketplace to give back.
    async fn refund(&self, order: &Placed, reference: &str, pence: i64, reason: &str) -> Result<(), Error> {
        if let Some(payment) = &order.payment {
            let body = json!({"amount": pence, "reason": reason});
            self.post::<Value>(&["payments", payment, "refund"], &format!("refund-{reference}"), &body).await?;
        }
        Ok(())
    }

    /// Returns that were asked for, one in each state.
    pub async fn return_requests(&self, placed: &HashMap<&str, Placed>) -> Result<(), Error> {
        let came_back = |order: &Order| self.data.returns.iter().any(|back| back.order == order.reference);
        let has_some = |order: &&Order| order.lines().next().is_some_and(|(_, quantity)| quantity >= 2);
        let orders = self.data.orders.iter().filter(|order| order.fate == Fate::Shipped && order.channel == WEB);
        let orders = orders.filter(|order| order.delivered_minutes_ago.is_some() && !came_back(order)).filter(has_some);
        for ((state, reason), order) in RETURNS.into_iter().zip(orders) {
            if let Some(placed) = placed.get(order.reference.as_str()) {
                self.return_request(order, placed, state, reason).await?;
            }
        }
        Ok(())
    }

    async fn return_request(&self, order: &Order, placed: &Placed, state: &str, reason: &str) -> Result<(), Error> {
        let Some((sku, _)) = order.lines().next() else {
            return Ok(());
        };
        let asked = json!({"lines": [{"sku": sku, "quantity": 2, "reason": reason}]});
        let step = |what: &str| format!("return-{state}-{what}");
        let made: Created = self.post(&["orders", &placed.id, "return-requests"], &step("request"), &asked).await?;
        let path = |what| ["return-requests", made.id.as_str(), what];
        match state {
            "requested" => return Ok(()),
            "rejected" => {
                let why = json!({"reason": "it was used"});
                self.post::<Value>(&path("reject"), &step("reject"), &why).await?;
                return Ok(());
            }
            "cancelled" => {
                self.post::<Value>(&path("cancel"), &step("cancel"), &json!({})).await?;
                return Ok(());
            }
            _ => self.post::<Value>(&path("approve"), &step("approve"), &json!({})).await?,
        };
        if state == "approved" {
            return Ok(());
        }
        let units = if ["received", "exchanged"].contains(&state) { 2 } else { 1 };
        let goods =
            json!({"lines": [{"sku": sku, "quantity": units, "disposition": "restock", "warehouse": FIRST_WAREHOUSE}]});
        let received: Received = self.post(&path("receive"), &step("receive"), &goods).await?;
        if state == "closed" {
            self.post::<Value>(&path("close"), &step("close"), &json!({})).await?;
        }
        let mut due = received.refund_due.map_or(0, |due| due.amount);
        if state == "exchanged" {
            let instead = json!({"lines": [{"sku": self.data.carts[0].sku, "quantity": 1}]});
            let Exchange { exchange } = self.post(&path("exchange"), &step("exchange"), &instead).await?;
            due -= exchange.map_or(0, |exchanged| exchanged.credit.amount);
        }
        if due == 0 || state == "partially_received" {
            return Ok(());
        }
        self.refund(placed, &order.reference, due, reason).await
    }
}
