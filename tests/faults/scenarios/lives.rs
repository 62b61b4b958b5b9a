//! Scenario 16: orders live through any sequence of calls, from a cart to a return, on servers that are killed.
//!
//! Of each order, after each call: what was ordered is allocated, waits, is shipped or is cancelled, and of each payment no more is
//! taken than was promised, and no more given back than was taken. In the end, of goods and of money.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::payments::{node_with, under_way};
use crate::Run;
use crate::client::Client;
use crate::postgres::Postgres;
use crate::report::{Result, Verdict};
use crate::server::place;
use crate::stage::{PATIENCE, Stage, WAREHOUSE};
use crate::stripe::Stripe;

const BETWEEN_KILLS: Duration = Duration::from_secs(1);
const SHOPPERS: usize = 12;
const STOCK: i64 = 100_000;
const OTHER_WAREHOUSE: &str = "FAR";
const SKUS: [&str; 2] = ["TEA", "MINT"];
/// Some carts and reservations run out in the midst of what is done with them.
const SHORTEST_HOLD: u64 = 1;
const LONGEST_HOLD: u64 = 4;

pub async fn play(run: Run) -> Result<Verdict> {
    let home = place();
    let postgres = Postgres::create(home.path()).await?;
    let stripe = Stripe::start().await;
    stripe.lose(run.seed);
    let nodes = vec![node_with(&postgres, &stripe)?, node_with(&postgres, &stripe)?];
    let mut stage = Stage::of(home, postgres, nodes).await?;
    stage.stock(SKUS.map(|sku| (sku.to_owned(), STOCK)).into()).await?;
    let client = stage.client()?;
    open_shop(&client).await?;

    let made = Arc::new(AtomicUsize::new(0));
    let calls = run.scaled(600, 20);
    let mut living = tokio::spawn(live_all(client.clone(), run.seed, calls, made.clone()));
    let mut kills = 0;
    let found = loop {
        tokio::select! {
            done = &mut living => break done??,
            () = tokio::time::sleep(BETWEEN_KILLS) => {}
        }
        let next = kills % stage.servers.len();
        stage.servers[next].kill();
        stage.start(next)?;
        kills += 1;
        if kills % 10 == 0 {
            println!("  … kill {kills}, {} of {} calls", made.load(Ordering::Relaxed), SHOPPERS * calls);
        }
    };
    for node in &stage.servers {
        node.until_ready(PATIENCE).await?;
    }
    let (begun, mut endless) = (Instant::now(), Vec::new());
    while let Some(open) = under_way(&client).await? {
        if begun.elapsed() > PATIENCE + Duration::from_secs(30) {
            let id = open["order_id"].as_str().unwrap_or_default();
            let order = client.get(&format!("/v1/orders/{id}")).await?;
            let payments = client.get(&format!("/v1/payments?order_id={id}")).await?;
            let timeline = client.get(&format!("/v1/orders/{id}/timeline")).await?;
            endless.push(format!("{order}, payments {payments}, timeline {timeline}"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    tokio::time::sleep(Duration::from_secs(LONGEST_HOLD)).await;

    let mut verdict = Verdict::default();
    verdict.none("workflows that do not come to an end", &endless);
    verdict.note("calls, kills", format!("{}, {kills}", made.load(Ordering::Relaxed)));
    let answers = found.iter().flat_map(|found| &found.answers);
    let mut by_status: BTreeMap<u16, usize> = BTreeMap::new();
    answers.for_each(|status| *by_status.entry(*status).or_default() += 1);
    verdict.note("answers", format!("{by_status:?}"));
    let broken: Vec<String> = found.into_iter().flat_map(|found| found.broken).collect();
    verdict.none("orders or payments that did not add up after a call", &broken);
    let orders = client.list("/v1/orders").await?;
    let payments = client.list("/v1/payments").await?;
    verdict.note("orders, payments", format!("{}, {}", orders.len(), payments.len()));
    let wrong: Vec<String> =
        orders.iter().flat_map(faults_of_order).chain(payments.iter().flat_map(faults_of_payment)).collect();
    verdict.none("  that do not add up in the end", &wrong);
    verdict.none(
        "charged twice, or other than we say",
        &stripe.disagreements(&payments.iter().filter(|it| it["provider"] == "stripe").collect::<Vec<_>>()),
    );
    for sku in SKUS {
        let stock = client.get(&format!("/v1/stock/{sku}")).await?;
        let number = |name: &str| stock[name].as_i64().unwrap_or(-1);
        verdict.exactly(
            &format!("{sku} on hand and with customers"),
            number("on_hand") + with_customers(&orders, sku),
            STOCK,
        );
        verdict.exactly("  promised", number("reserved") + number("allocated"), 0);
    }
    verdict.none("wrong answers", &client.tally.wrong());
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

/// A second warehouse with nothing, and a channel whose orders go through a process.
async fn open_shop(client: &Client) -> Result<()> {
    let far = json!({"code": OTHER_WAREHOUSE, "name": "Far"});
    client.insist("POST", "/v1/warehouses", None, Some(&far)).await?.expect(201)?;
    let moved = json!({"from": WAREHOUSE, "to": OTHER_WAREHOUSE, "lines": SKUS.map(|sku| json!({"sku": sku, "quantity": STOCK / 2}))});
    let transfer = client.insist("POST", "/v1/transfers", None, Some(&moved)).await?.id();
    for (step, status) in [("ship", 200), ("receipts", 201)] {
        let path = format!("/v1/transfers/{transfer}/{step}");
        client.insist("POST", &path, None, Some(&json!({}))).await?.expect(status)?;
    }
    let web = json!({"code": "web", "name": "Web", "warehouses": [{"warehouse": WAREHOUSE}]});
    client.insist("POST", "/v1/channels", None, Some(&web)).await?.expect(201)?;
    let steps = json!([{"kind": "payment"}, {"kind": "capture"}, {"kind": "ship"}]);
    let workflow = json!({"name": "Pay, then ship", "channels": ["web"], "steps": steps});
    client.insist("PUT", "/v1/workflows/web", None, Some(&workflow)).await?.expect(200)?;
    Ok(())
}

/// What a shopper found.
#[derive(Default)]
struct Found {
    answers: Vec<u16>,
    broken: Vec<String>,
}

async fn live_all(client: Client, seed: u64, calls: usize, made: Arc<AtomicUsize>) -> Result<Vec<Found>> {
    let shoppers = (0..SHOPPERS).map(|n| {
        let rng = StdRng::seed_from_u64(seed.wrapping_add(n as u64));
        let shopper =
            Shopper { client: client.clone(), rng, n, calls: 0, cart: None, order: None, found: Found::default() };
        shopper.live(calls, made.clone())
    });
    try_join_all(shoppers).await
}

struct Shopper {
    client: Client,
    rng: StdRng,
    n: usize,
    calls: usize,
    cart: Option<Value>,
    order: Option<Value>,
    found: Found,
}

impl Shopper {
    async fn live(mut self, calls: usize, made: Arc<AtomicUsize>) -> Result<Found> {
        for _ in 0..calls {
            match (&self.order, &self.cart) {
                (Some(_), _) => self.with_order().await?,
                (None, Some(_)) => self.with_cart().await?,
                (None, None) => self.begin().await?,
            }
            made.fetch_add(1, Ordering::Relaxed);
        }
        self.leave_cart().await?;
        self.give_up().await?;
        Ok(self.found)
    }

    async fn call(&mut self, method: &str, path: &str, body: Value) -> Result<(u16, Value)> {
        self.calls += 1;
        let key = format!("life-{}-{}", self.n, self.calls);
        let body = (!body.is_null()).then_some(body);
        let answer = self.client.insist(method, path, Some(&key), body.as_ref()).await?;
        self.found.answers.push(answer.status);
        Ok((answer.status, answer.json))
    }

    fn line(&mut self) -> Value {
        let sku = SKUS[self.rng.random_range(0..SKUS.len())];
        let price = json!({"amount": self.rng.random_range(1..1000), "currency": "EUR"});
        json!({"sku": sku, "quantity": self.rng.random_range(1..4), "unit_price": price, "tax_rate": 1900})
    }

    async fn begin(&mut self) -> Result<()> {
        let lines: Vec<Value> = (0..self.rng.random_range(1..4)).map(|_| self.line()).collect();
        let mut new = json!({"lines": lines});
        if self.rng.random_bool(0.3) {
            new["channel"] = json!("web");
        }
        let way = self.rng.random_range(0..6);
        if self.rng.random_bool(0.5) && way < 3 {
            new["ttl_seconds"] = json!(self.rng.random_range(SHORTEST_HOLD..=LONGEST_HOLD));
        }
        if way < 3 {
            self.cart = Some(self.call("POST", "/v1/carts", new).await?.1);
        } else if way == 3 {
            self.reserve(new).await?;
        } else {
            self.order = Some(self.call("POST", "/v1/orders", new).await?.1);
        }
        Ok(())
    }

    /// Holds goods and buys them at once, in the second in which the hold may end, or never.
    async fn reserve(&mut self, mut new: Value) -> Result<()> {
        let lines = new["lines"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
        for line in lines {
            line.retain(|member, _| ["sku", "quantity"].contains(&member.as_str()));
        }
        new["ttl_seconds"] = json!(SHORTEST_HOLD);
        let held = self.call("POST", "/v1/reservations", new).await?.1;
        let wait = self.rng.random_range(0..SHORTEST_HOLD * 2000);
        if wait % 3 == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let (status, answer) = self.call("POST", "/v1/orders", json!({"reservation_id": held["id"]})).await?;
        if status == 201 {
            self.order = Some(answer);
        }
        Ok(())
    }

    async fn with_cart(&mut self) -> Result<()> {
        let Some(cart) = self.cart.clone() else { return Ok(()) };
        let path = format!("/v1/carts/{}", text(&cart["id"]));
        let line = cart["lines"]
            .as_array()
            .and_then(|lines| lines.first())
            .map(|line| format!("{path}/lines/{}", text(&line["id"])));
        let (status, answer) = match (self.rng.random_range(0..6), line) {
            (0, _) => {
                let line = self.line();
                self.call("POST", &format!("{path}/lines"), line).await?
            }
            (1, Some(line)) => {
                let quantity = self.rng.random_range(1..6);
                self.call("PATCH", &line, json!({"quantity": quantity})).await?
            }
            (2, Some(line)) => self.call("DELETE", &line, Value::Null).await?,
            (3, _) => {
                let guest = json!({"lines": [self.line()]});
                let guest = self.call("POST", "/v1/carts", guest).await?.1;
                let merged = self.call("POST", &format!("{path}/merge"), json!({"from": guest["id"]})).await?;
                if merged.0 != 200 {
                    self.call("DELETE", &format!("/v1/carts/{}", text(&guest["id"])), Value::Null).await?;
                }
                merged
            }
            _ => {
                let together = self.rng.random_bool(0.3);
                let (status, answer) =
                    self.call("POST", &format!("{path}/checkout"), json!({"ship_together": together})).await?;
                if status == 201 {
                    (self.order, self.cart) = (Some(answer), None);
                    return Ok(());
                }
                (status, Value::Null)
            }
        };
        if status == 200 && answer["lines"].is_array() {
            self.cart = Some(answer);
        } else if [200, 204, 404].contains(&status) {
            self.cart = Some(self.client.get(&path).await?);
        } else {
            self.leave_cart().await?;
        }
        Ok(())
    }

    async fn with_order(&mut self) -> Result<()> {
        let Some(order) = self.order.clone() else { return Ok(()) };
        let id = text(&order["id"]);
        let path = format!("/v1/orders/{id}");
        let lines = order["lines"].as_array().cloned().unwrap_or_default();
        let line = &lines[self.rng.random_range(0..lines.len())];
        let (at_line, sku) = (format!("{path}/lines/{}", text(&line["id"])), line["sku"].clone());
        let some = self.rng.random_range(1..3);
        let warehouse = [WAREHOUSE, OTHER_WAREHOUSE][self.rng.random_range(0..2)];
        match self.rng.random_range(0..20) {
            0..3 => self.pay(&id).await?,
            3..6 => self.move_money(&id).await?,
            6..9 => {
                let goods = json!({"warehouse": warehouse, "lines": [{"sku": sku, "quantity": some}]});
                self.call("POST", &format!("{path}/shipments"), goods).await?;
            }
            9 => drop(self.call("POST", &format!("{path}/shipments"), json!({"warehouse": warehouse})).await?),
            10 => self.take_back(&path, &sku, some).await?,
            11 => self.ask_back(&path, &sku, some).await?,
            12 => drop(self.call("POST", &format!("{at_line}/cancel"), json!({"quantity": some})).await?),
            13 => {
                let more = json!({"lines": [self.line()]});
                self.call("POST", &format!("{path}/lines"), more).await?;
            }
            14 => {
                let other = SKUS.into_iter().find(|other| sku != **other);
                self.call("POST", &format!("{at_line}/substitute"), json!({"sku": other, "quantity": some})).await?;
            }
            15 | 16 => {
                let goods = json!({"warehouse": warehouse, "lines": [{"sku": sku, "quantity": some}]});
                self.call("POST", &format!("{path}/reallocate"), goods).await?;
            }
            17 => drop(self.call("PATCH", &path, json!({"ship_together": some == 1})).await?),
            18 => self.give_up().await?,
            _ if order["held_for"].is_string() => {
                self.call("POST", &format!("{path}/workflow/skip"), json!({})).await?;
            }
            _ => {}
        }
        self.check(&id).await
    }

    async fn pay(&mut self, order: &str) -> Result<()> {
        let mut new = json!({"order_id": order, "provider": "manual", "method": "bank_transfer"});
        if self.rng.random_bool(0.6) {
            new = json!({"order_id": order, "provider": "stripe", "payment_method": "pm_card"});
        }
        if self.rng.random_bool(0.5) {
            new["capture"] = json!("automatic");
        }
        if self.rng.random_bool(0.4) {
            new["amount"] = json!(self.rng.random_range(1..1500));
        }
        self.call("POST", "/v1/payments", new).await?;
        Ok(())
    }

    async fn move_money(&mut self, order: &str) -> Result<()> {
        let payments = self.payments_of(order).await?;
        if payments.is_empty() {
            return Ok(());
        }
        let payment = &payments[self.rng.random_range(0..payments.len())];
        let what = ["capture", "void", "refund", "refund"][self.rng.random_range(0..4)];
        let body = match what {
            "void" => json!({}),
            _ if self.rng.random_bool(0.4) => json!({}),
            _ => json!({"amount": self.rng.random_range(1..800)}),
        };
        self.call("POST", &format!("/v1/payments/{}/{what}", text(&payment["id"])), body).await?;
        Ok(())
    }

    async fn take_back(&mut self, order: &str, sku: &Value, some: i64) -> Result<()> {
        let disposition = ["restock", "quarantine"][self.rng.random_range(0..2)];
        let goods = json!({"sku": sku, "quantity": some, "disposition": disposition, "warehouse": WAREHOUSE});
        self.call("POST", &format!("{order}/returns"), json!({"lines": [goods]})).await?;
        Ok(())
    }

    /// A return that is asked for, comes, and is exchanged for something else.
    async fn ask_back(&mut self, order: &str, sku: &Value, some: i64) -> Result<()> {
        let asked = json!({"lines": [{"sku": sku, "quantity": some}]});
        let (status, request) = self.call("POST", &format!("{order}/return-requests"), asked).await?;
        if status != 201 {
            return Ok(());
        }
        let path = format!("/v1/return-requests/{}", text(&request["id"]));
        let goods =
            json!({"lines": [{"sku": sku, "quantity": some, "disposition": "restock", "warehouse": WAREHOUSE}]});
        let other = json!({"lines": [self.line()]});
        for (what, body) in [("approve", json!({"restocking_fee": 5})), ("receive", goods), ("exchange", other)] {
            let (_, request) = self.call("POST", &format!("{path}/{what}"), body).await?;
            if let Some(placed) = request["exchange"]["order_id"].as_str() {
                self.call("POST", &format!("/v1/orders/{placed}/cancel"), json!({})).await?;
            }
        }
        Ok(())
    }

    async fn leave_cart(&mut self) -> Result<()> {
        if let Some(cart) = self.cart.take() {
            self.call("DELETE", &format!("/v1/carts/{}", text(&cart["id"])), Value::Null).await?;
        }
        Ok(())
    }

    /// Cancels what is not shipped of the order, hands back what was paid by hand, and begins anew.
    async fn give_up(&mut self) -> Result<()> {
        let Some(order) = self.order.take() else { return Ok(()) };
        let id = text(&order["id"]);
        let (status, told) = self.call("POST", &format!("/v1/orders/{id}/cancel"), json!({})).await?;
        if status != 200 && told["detail"] != "everything is shipped: take it back with a return instead" {
            self.found.broken.push(format!("order {}: cannot be given up: {told}", order["number"]));
        }
        for payment in self.payments_of(&id).await?.iter().filter(|payment| payment["provider"] == "manual") {
            let what = if payment["captured"] == 0 { "void" } else { "refund" };
            self.call("POST", &format!("/v1/payments/{}/{what}", text(&payment["id"])), json!({})).await?;
        }
        Ok(())
    }

    async fn payments_of(&self, order: &str) -> Result<Vec<Value>> {
        let payments = self.client.get(&format!("/v1/payments?order_id={order}&limit=200")).await?;
        Ok(payments["items"].as_array().cloned().unwrap_or_default())
    }

    /// Looks at the order and its payments, and whether they add up.
    async fn check(&mut self, id: &str) -> Result<()> {
        let order = self.client.get(&format!("/v1/orders/{id}")).await?;
        let payments = self.payments_of(id).await?;
        self.found
            .broken
            .extend(faults_of_order(&order).into_iter().chain(payments.iter().flat_map(faults_of_payment)));
        if self.order.is_some() {
            self.order = Some(order);
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn faults_of_order(order: &Value) -> Vec<String> {
    let lines = order["lines"].as_array().cloned().unwrap_or_default();
    let wrong = lines.iter().filter(|line| {
        let units = |name: &str| line[name].as_i64().unwrap_or(i64::MIN / 8);
        let parts = ["allocated", "backordered", "shipped", "cancelled"].map(units);
        parts.iter().sum::<i64>() != units("quantity")
            || parts.iter().any(|part| *part < 0)
            || !(0..=units("shipped")).contains(&units("returned"))
    });
    wrong.map(|line| format!("order {}: {line}", order["number"])).collect()
}

fn faults_of_payment(payment: &Value) -> Option<String> {
    let amounts = ["amount", "authorised", "captured", "refunded"].map(|name| payment[name].as_i64().unwrap_or(-1));
    let adds_up = amounts.is_sorted_by(|more, less| more >= less) && amounts[3] >= 0;
    (!adds_up).then(|| payment.to_string())
}

fn with_customers(orders: &[Value], sku: &str) -> i64 {
    let lines = orders.iter().flat_map(|order| order["lines"].as_array().cloned().unwrap_or_default());
    let units = lines
        .filter(|line| line["sku"] == sku)
        .map(|line| line["shipped"].as_i64().unwrap_or_default() - line["returned"].as_i64().unwrap_or_default());
    units.sum()
}
