//! Holds the clients' journal against the server's lists, its ledger and its feed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::journal::{CANCELLED, Journal, SHIPPED, Told};
use crate::report::{Result, Verdict};
use crate::stage::PATIENCE;

/// What the two sides do not agree on.
#[derive(Default)]
struct Disagreement {
    lost: Vec<String>,
    doubled: Vec<String>,
    different: Vec<String>,
}

impl Disagreement {
    fn compare<T: PartialEq + Debug>(&mut self, what: &str, told: &BTreeMap<String, T>, found: &BTreeMap<String, T>) {
        for (id, told) in told {
            match found.get(id) {
                None => self.lost.push(format!("{what} {id}, {told:?}")),
                Some(found) if found != told => {
                    self.different.push(format!("{what} {id}: told {told:?}, found {found:?}"))
                }
                Some(_) => {}
            }
        }
        let unknown = found.iter().filter(|(id, _)| !told.contains_key(*id));
        self.doubled.extend(unknown.map(|(id, found)| format!("{what} {id}, {found:?}")));
    }
}

/// Reads everything back and compares. Reservations that were left alone must have had time to expire, and be
/// announced as expired.
pub async fn audit(client: &Client, journal: &Journal, tail: Tail, verdict: &mut Verdict) -> Result<()> {
    let mut found = Disagreement::default();
    let told = std::mem::take(&mut *journal.told());
    let word = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();

    let items = client.list("/v1/reservations").await?;
    let reservations = items.iter().map(|it| (word(it, "id"), word(it, "status"))).collect();
    found.compare("reservation", &owned(&told.reservations), &reservations);
    let items = client.list("/v1/orders").await?;
    let status = |it: &Value| format!("{}, {}", word(it, "status"), word(it, "fulfilment_status"));
    let orders = items.iter().map(|it| (word(it, "id"), status(it))).collect();
    found.compare("order", &owned(&told.orders), &orders);
    let movements = movements(client, &mut found).await?;
    found.compare("movement", &told.movements, &movements);

    let all = read_feed(client).await?;
    found.compare("events of", &expected_events(&told), &by_subject(&all));
    let skipped = tail.missed(&all).await?;

    let counted = told.reservations.len() + told.orders.len() + told.movements.len();
    verdict.note("acknowledged reservations, orders and movements", counted);
    verdict.none("acknowledged and lost", &found.lost);
    verdict.none("doubled, or there and never acknowledged", &found.doubled);
    verdict.none("in another state than acknowledged", &found.different);
    verdict.note("events", all.len());
    verdict.none("events that a reader of the feed missed", &skipped);
    Ok(())
}

fn owned(told: &BTreeMap<String, &'static str>) -> BTreeMap<String, String> {
    told.iter().map(|(id, status)| (id.clone(), (*status).to_owned())).collect()
}

/// The ledger by what each movement refers to; two with one reference are one too many.
async fn movements(client: &Client, found: &mut Disagreement) -> Result<BTreeMap<String, i64>> {
    let mut movements = BTreeMap::new();
    for item in client.list("/v1/stock/movements").await? {
        let reference = item["note"].as_str().or(item["reference"]["id"].as_str());
        // What has neither was there before the clients.
        let Some(reference) = reference else { continue };
        let quantity = item["quantity"].as_i64().ok_or("a movement has a quantity")?;
        if movements.insert(reference.to_owned(), quantity).is_some() {
            found.doubled.push(format!("movement {reference}"));
        }
    }
    Ok(movements)
}

/// The types of events that each reservation and order must have had, sorted.
fn expected_events(told: &Told) -> BTreeMap<String, Vec<String>> {
    let mut expected = BTreeMap::new();
    let types = |types: &[&str]| types.iter().map(|it| (*it).to_owned()).collect::<Vec<String>>();
    for (id, status) in &told.reservations {
        let mut list = types(&["reservation.created"]);
        if *status != "active" {
            list.push(format!("reservation.{status}"));
        }
        list.sort();
        expected.insert(format!("reservations/{id}"), list);
    }
    for (id, status) in &told.orders {
        let list = match *status {
            CANCELLED => types(&["order.cancelled", "order.placed"]),
            SHIPPED => types(&["order.placed", "shipment.created", "shipment.shipped"]),
            _ => types(&["order.placed"]),
        };
        expected.insert(format!("orders/{id}"), list);
    }
    expected
}

fn by_subject(events: &[Seen]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let told_apart = |it: &&Seen| !it.subject.starts_with("products/") && it.kind != "reservation.extended";
    for event in events.iter().filter(told_apart) {
        if event.subject.starts_with("reservations/") || event.subject.starts_with("orders/") {
            found.entry(event.subject.clone()).or_default().push(event.kind.clone());
        }
    }
    found.values_mut().for_each(|types| types.sort());
    found
}

/// An event, as far as it matters here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    sequence: String,
    kind: String,
    subject: String,
}

/// One page of the feed, and where the next begins.
async fn page(client: &Client, after: &str) -> Result<(Vec<Seen>, String)> {
    let feed = client.get(&format!("/v1/events?limit=200{after}")).await?;
    let items = feed["items"].as_array().ok_or("the feed has items")?;
    let word = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let seen = items.iter().map(|it| Seen {
        sequence: word(it, "sequence"),
        kind: word(it, "type"),
        subject: word(it, "subject"),
    });
    Ok((seen.collect(), format!("&after={}", word(&feed, "next_cursor"))))
}

async fn read_feed(client: &Client) -> Result<Vec<Seen>> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let (mut seen, next) = page(client, &after).await?;
        if seen.is_empty() {
            return Ok(all);
        }
        all.append(&mut seen);
        after = next;
    }
}

/// Reads the feed from the start, as a consumer would, while everything breaks.
pub struct Tail {
    stop: Arc<AtomicBool>,
    reading: JoinHandle<Result<Vec<Seen>>>,
}

impl Tail {
    pub fn start(client: &Client) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (client, stopping) = (client.clone(), stop.clone());
        let reading = tokio::spawn(async move {
            let (mut all, mut after) = (Vec::new(), String::new());
            loop {
                // Read before the page: what was written until then must be on it.
                let last = stopping.load(Ordering::Relaxed);
                let (mut seen, next) = page(&client, &after).await?;
                if seen.is_empty() {
                    if last {
                        return Ok(all);
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                all.append(&mut seen);
                after = next;
            }
        });
        Self { stop, reading }
    }

    /// What is in the feed now, and was not seen in its place while it was written.
    async fn missed(self, all: &[Seen]) -> Result<Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = tokio::time::timeout(PATIENCE, self.reading).await???;
        let known: std::collections::BTreeSet<&Seen> = seen.iter().collect();
        let missed = all.iter().filter(|it| !known.contains(it));
        let mut missed: Vec<String> = missed.map(|it| format!("{} {} {}", it.sequence, it.kind, it.subject)).collect();
        if seen.len() > all.len() {
            missed.push(format!("seen {} events of {}", seen.len(), all.len()));
        }
        Ok(missed)
    }
}

/// Looks at a product all the time: never may more be promised than there is.
pub fn watch(client: &Client, sku: &str, until: Instant) -> JoinHandle<Result<Vec<String>>> {
    let (client, path) = (client.clone(), format!("/v1/stock/{sku}"));
    tokio::spawn(async move {
        let mut oversold = Vec::new();
        while Instant::now() < until {
            let stock = client.get(&path).await?;
            let of = |name: &str| stock[name].as_i64().unwrap_or(i64::MIN);
            if of("available") < 0 || of("reserved") + of("allocated") > of("on_hand") - of("unavailable") {
                oversold.push(stock.to_string());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(oversold)
    })
}
