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
use super::plan::{Cancellation, Event, Plan, Sale, WriteOff, deal};
use super::{Error, goods};
use crate::cli::client::{self, Client};

/// Long enough to outlive a restart of the server between the hold and its order.
const TTL_SECONDS: u32 = 900;
/// How often an order is tried anew because its hold had ended: once for every earlier run that
/// was cut off between the two.
const ATTEMPTS: u32 = 20;

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
        let mut orders: HashMap<usize, String> = HashMap::new();
        for at in hand {
            match &self.plan.events[at] {
                Event::Sale(sale) => match self.sell(sale).await {
                    Ok(order) => drop(orders.insert(at, order)),
                    Err(error) => self.note(&sale.reference, error)?,
                },
                Event::WriteOff(write_off) => {
                    if let Err(error) = self.write_off(write_off).await {
                        self.note(&write_off.invoice, error)?;
                    }
                }
                Event::Cancellation(cancellation) => self.take_back(cancellation, &orders).await?,
            }
            self.bar.inc(1);
        }
        Ok(())
    }

    /// Holds the goods, orders them and ships everything.
    async fn sell(&self, sale: &Sale) -> Result<String, client::Error> {
        let order = self.reserve_and_order(sale).await?;
        let warehouses: BTreeSet<&str> =
            order.lines.iter().flat_map(|line| &line.allocations).map(|from| from.warehouse.as_str()).collect();
        for warehouse in warehouses {
            let key = self.keys.step(&sale.reference, &format!("ship-{warehouse}"));
            let body = json!({"warehouse": warehouse, "shipped_at": time(sale.at)});
            self.client.post::<Value>(&["orders", &order.id, "shipments"], &key, &body).await?;
        }
        Ok(order.id)
    }

    pub(super) fn hold(&self, sale: &Sale) -> Value {
        let lines: Vec<Value> = sale
            .lines
            .iter()
            .map(|line| json!({"sku": self.plan.products[line.product].sku, "quantity": line.units}))
            .collect();
        let owner = sale.customer.as_deref().unwrap_or(&sale.reference);
        json!({
            "lines": lines, "ttl_seconds": TTL_SECONDS, "owner": owner, "channel": self.places.channel,
            "reference": sale.reference,
        })
    }

    pub(super) fn hold_key(&self, sale: &Sale, attempt: u32) -> String {
        self.keys.step(&sale.reference, &format!("reserve-{attempt}"))
    }

    async fn reserve_and_order(&self, sale: &Sale) -> Result<Order, client::Error> {
        let hold = self.hold(sale);
        let mut attempt = 1;
        loop {
            let key = self.hold_key(sale, attempt);
            let held: Created = self.client.post(&["reservations"], &key, &hold).await?;
            let mut body = json!({
                "reservation_id": held.id, "channel": self.places.channel, "reference": sale.reference,
                "placed_at": time(sale.at),
            });
            if let Some(customer) = &sale.customer {
                body["customer"] = json!({"reference": customer});
            }
            if let Some(country) = sale.country {
                body["shipping_address"] = json!({"country": country});
            }
            let key = self.keys.step(&sale.reference, &format!("order-{attempt}"));
            match self.client.post(&["orders"], &key, &body).await {
                Err(error) if error.is("reservation-ended") && attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
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

    /// Sends back what a cancellation names, order by order.
    async fn take_back(&self, cancellation: &Cancellation, orders: &HashMap<usize, String>) -> Result<(), Error> {
        for back in &cancellation.returns {
            let Event::Sale(sale) = &self.plan.events[back.sale] else {
                continue;
            };
            let subject = format!("{} of {}", cancellation.invoice, sale.reference);
            let Some(order) = orders.get(&back.sale) else {
                self.fail(subject, "its order was not placed".into());
                continue;
            };
            let line = |line: &super::plan::Line| {
                let product = &self.plan.products[line.product];
                let warehouse = &self.places.warehouses[product.home(self.places.warehouses.len())];
                json!({"sku": product.sku, "quantity": line.units, "disposition": "restock", "warehouse": warehouse})
            };
            let body = json!({
                "lines": back.lines.iter().map(line).collect::<Vec<_>>(),
                "reason": format!("Cancellation {}", cancellation.invoice), "received_at": time(cancellation.at),
            });
            let key = self.keys.step(&cancellation.invoice, &format!("return-{}", sale.reference));
            if let Err(error) = self.client.post::<Value>(&["orders", order, "returns"], &key, &body).await {
                self.note(subject, error)?;
            }
        }
        Ok(())
    }
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
