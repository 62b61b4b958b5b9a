//! Drives the events of a plan through the public API, as a shop would: every invoice in the order of
//! the file, so many customers at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use futures::future;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::keys::Keys;
use super::plan::{Cancellation, Event, Line, Plan, Return, Sale, WriteOff, deal};
use super::{Error, goods};
use crate::cli::client::{self, Client, Page};

/// Long enough to outlive a restart of the server between filling a cart and checking out; a cart whose time ran
/// out meanwhile gets its goods anew.
const TTL_SECONDS: u32 = 900;
pub const CURRENCY: &str = "GBP";

/// Where the replay puts its stock and takes its orders.
#[derive(Debug, Clone)]
pub struct Places {
    pub warehouses: Vec<String>,
    pub channel: String,
}

/// A call that was refused for good.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub subject: String,
    pub problem: String,
}

pub struct Driver<'a> {
    pub client: &'a Client,
    pub plan: &'a Plan,
    pub places: &'a Places,
    pub keys: &'a Keys,
    pub bar: &'a ProgressBar,
    failures: Mutex<Vec<Failure>>,
}

#[derive(Debug, Deserialize)]
struct Created {
    id: String,
}

/// An order that was placed, and how it was paid, unless it costs nothing.
struct Sold {
    order: String,
    payment: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Order {
    id: String,
    lines: Vec<OrderLine>,
}

#[derive(Debug, Deserialize)]
struct OrderLine {
    #[serde(default)]
    allocations: Vec<Allocation>,
}

#[derive(Debug, Deserialize)]
struct Allocation {
    warehouse: String,
}

impl<'a> Driver<'a> {
    pub fn new(client: &'a Client, plan: &'a Plan, places: &'a Places, keys: &'a Keys, bar: &'a ProgressBar) -> Self {
        Self { client, plan, places, keys, bar, failures: Mutex::default() }
    }

    /// Calls that failed for good.
    pub fn into_failures(self) -> Vec<Failure> {
        self.failures.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run on an error that every later call would meet too; notes any other.
    pub(super) fn note(&self, subject: impl Into<String>, error: client::Error) -> Result<(), Error> {
        if error.is_fatal() {
            return Err(error.into());
        }
        self.fail(subject, crate::cli::with_causes(&error));
        Ok(())
    }

    pub(super) fn fail(&self, subject: impl Into<String>, problem: String) {
        let failure = Failure { subject: subject.into(), problem };
        self.bar.suspend(|| eprintln!("{}: {}", failure.subject, failure.problem));
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }

    pub async fn events(&self, workers: usize) -> Result<(), Error> {
        let hands = deal(&self.plan.events, workers);
        future::try_join_all(hands.into_iter().map(|hand| self.work(hand))).await?;
        Ok(())
    }

    async fn work(&self, hand: Vec<usize>) -> Result<(), Error> {
        let mut sold: HashMap<usize, Sold> = HashMap::new();
        let mut customers: HashMap<&str, String> = HashMap::new();
        for at in hand {
            match &self.plan.events[at] {
                Event::Sale(sale) => match self.sell(sale, &mut customers).await {
                    Ok(order) => drop(sold.insert(at, order)),
                    Err(error) => self.note(&sale.reference, error)?,
                },
                Event::WriteOff(write_off) => {
                    if let Err(error) = self.write_off(write_off).await {
                        self.note(&write_off.invoice, error)?;
                    }
                }
                Event::Cancellation(cancellation) => self.take_back(cancellation, &sold).await?,
            }
            self.bar.inc(1);
        }
        Ok(())
    }

    /// Fills a cart, checks it out, takes the money and ships everything.
    async fn sell<'b>(&self, sale: &'b Sale, customers: &mut HashMap<&'b str, String>) -> Result<Sold, client::Error> {
        let key = |step: &str| self.keys.step(&sale.reference, step);
        let cart: Created = self.client.post(&["carts"], &self.cart_key(sale), &self.cart(sale)).await?;
        let mut body = json!({"reference": sale.reference, "placed_at": time(sale.at)});
        if let Some(reference) = sale.customer.as_deref() {
            let known = match customers.get(reference) {
                Some(known) => known,
                None => {
                    let added = self.customer(reference).await?;
                    customers.entry(reference).or_insert(added)
                }
            };
            body["customer_id"] = json!(known);
        }
        if let Some(country) = sale.country {
            body["shipping_address"] = json!({"country": country});
        }
        let order: Order = self.client.post(&["carts", &cart.id, "checkout"], &key("checkout"), &body).await?;
        let mut payment = None;
        if sale.pence() > 0 {
            let body = json!({"order_id": order.id, "provider": "manual", "capture": "automatic"});
            payment = Some(self.client.post::<Created>(&["payments"], &key("pay"), &body).await?.id);
        }
        let warehouses: BTreeSet<&str> =
            order.lines.iter().flat_map(|line| &line.allocations).map(|from| from.warehouse.as_str()).collect();
        for warehouse in warehouses {
            let body = json!({"warehouse": warehouse, "shipped_at": time(sale.at)});
            let key = key(&format!("ship-{warehouse}"));
            self.client.post::<Value>(&["orders", &order.id, "shipments"], &key, &body).await?;
        }
        Ok(Sold { order: order.id, payment })
    }

    /// The customer of that number, added unless it is there.
    async fn customer(&self, reference: &str) -> Result<String, client::Error> {
        let key = self.keys.step(reference, "customer");
        match self.client.post::<Created>(&["customers"], &key, &json!({"reference": reference})).await {
            Err(error) if error.is("already-exists") => {
                let query = [("reference", reference), ("limit", "1")];
                let page: Page<Created> = self.client.get(&["customers"], &query).await?;
                page.items.into_iter().next().map(|known| known.id).ok_or(error)
            }
            added => Ok(added?.id),
        }
    }

    pub(super) fn cart(&self, sale: &Sale) -> Value {
        let lines: Vec<Value> = sale.lines.iter().map(|line| self.cart_line(line)).collect();
        json!({
            "lines": lines, "ttl_seconds": TTL_SECONDS, "channel": self.places.channel, "reference": sale.reference,
        })
    }

    /// A line has one price. Where its units had several, or a fraction of a penny, it is the average, rounded up, and
    /// what that is too much for the whole line is taken off.
    fn cart_line(&self, line: &Line) -> Value {
        let money = |amount: i64| json!({"amount": amount, "currency": CURRENCY});
        let price = line.pence / line.units + i64::from(line.pence % line.units > 0);
        let discount = price * line.units - line.pence;
        let sku = &self.plan.products[line.product].sku;
        let mut body = json!({"sku": sku, "quantity": line.units, "unit_price": money(price)});
        if discount > 0 {
            body["discount"] = money(discount);
        }
        body
    }

    pub(super) fn cart_key(&self, sale: &Sale) -> String {
        self.keys.step(&sale.reference, "cart")
    }

    async fn write_off(&self, write_off: &WriteOff) -> Result<(), client::Error> {
        let product = &self.plan.products[write_off.product];
        let note = if write_off.note.is_empty() { "no note" } else { &write_off.note };
        let body = json!({
            "sku": product.sku, "warehouse": self.places.warehouses[product.home(self.places.warehouses.len())],
            "change": -write_off.units, "condition": "quality_control",
            "reason": goods::write_off_reason(&write_off.note),
            "note": format!("Invoice {}: {note}", write_off.invoice), "effective_at": time(write_off.at),
        });
        let key = self.keys.step(&write_off.invoice, &format!("write-off-{}", write_off.line));
        self.client.post::<Value>(&["stock", "adjustments"], &key, &body).await?;
        Ok(())
    }

    /// Sends back what a cancellation names, order by order, and gives the money back.
    async fn take_back(&self, cancellation: &Cancellation, sold: &HashMap<usize, Sold>) -> Result<(), Error> {
        for back in &cancellation.returns {
            let Event::Sale(sale) = &self.plan.events[back.sale] else {
                continue;
            };
            let subject = format!("{} of {}", cancellation.invoice, sale.reference);
            let Some(sold) = sold.get(&back.sale) else {
                self.fail(subject, "its order was not placed".into());
                continue;
            };
            if let Err(error) = self.take_back_of(cancellation, back, sale, sold).await {
                self.note(subject, error)?;
            }
        }
        Ok(())
    }

    async fn take_back_of(
        &self,
        cancellation: &Cancellation,
        back: &Return,
        sale: &Sale,
        sold: &Sold,
    ) -> Result<(), client::Error> {
        let line = |line: &Line| {
            let product = &self.plan.products[line.product];
            let warehouse = &self.places.warehouses[product.home(self.places.warehouses.len())];
            json!({"sku": product.sku, "quantity": line.units, "disposition": "restock", "warehouse": warehouse})
        };
        let key = |step: &str| self.keys.step(&cancellation.invoice, &format!("{step}-{}", sale.reference));
        let reason = format!("Cancellation {}", cancellation.invoice);
        let body = json!({
            "lines": back.lines.iter().map(line).collect::<Vec<_>>(), "reason": reason,
            "received_at": time(cancellation.at),
        });
        self.client.post::<Value>(&["orders", &sold.order, "returns"], &key("return"), &body).await?;
        if let Some(payment) = sold.payment.as_deref().filter(|_| back.refund > 0) {
            let body = json!({"amount": back.refund, "reason": reason});
            self.client.post::<Value>(&["payments", payment, "refund"], &key("refund"), &body).await?;
        }
        Ok(())
    }
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
