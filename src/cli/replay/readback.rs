//! What the server says afterwards: its orders, its ledger and its self-check. Nothing here is taken
//! from what the replay thinks it sent.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::{Event, Plan};
use super::run::Places;
use crate::cli::client::{self, Client, Page};

const PAGE: &str = "200";

/// The orders of the replay's channel, added up.
#[derive(Debug, Default, Serialize)]
pub struct Orders {
    /// Orders whose reference is an invoice of the plan.
    pub found: usize,
    /// Invoices of the plan without an order.
    pub missing: usize,
    /// Invoices of the plan with more than one order.
    pub doubled: Vec<String>,
    /// Orders of the channel that are not of this plan; not added up.
    pub others: usize,
    pub units_ordered: i64,
    pub units_shipped: i64,
    pub units_returned: i64,
}

#[derive(Debug, Deserialize)]
struct Order {
    id: String,
    reference: Option<String>,
    total: Option<Amount>,
    payment_status: String,
    lines: Vec<OrderLine>,
}

#[derive(Debug, Deserialize)]
struct Amount {
    amount: i64,
}

/// An order of the plan, as far as its money goes.
#[derive(Debug)]
pub struct Placed {
    pub reference: String,
    pub total: i64,
    pub payment_status: String,
}

#[derive(Debug, Deserialize)]
struct OrderLine {
    quantity: i64,
    shipped: i64,
    returned: i64,
}

/// The movements of the replay's warehouses, added up by where they lead.
#[derive(Debug, Default, Serialize)]
pub struct Ledger {
    pub movements: usize,
    pub from_supplier: i64,
    pub to_customer: i64,
    pub from_customer: i64,
    /// To scrap and adjustment, less what came back from there.
    pub written_off: i64,
}

#[derive(Debug, Deserialize)]
struct Movement {
    quantity: i64,
    from: End,
    to: End,
}

#[derive(Debug, Deserialize)]
struct End {
    place: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct SelfCheck {
    pub ok: bool,
    #[serde(default)]
    pub differences: Vec<Value>,
}

/// Reads one page after the other until there is none.
pub struct Pages<'a> {
    client: &'a Client,
    path: &'a [&'a str],
    filters: Vec<(&'a str, &'a str)>,
    cursor: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    pub fn new(client: &'a Client, path: &'a [&'a str], filters: Vec<(&'a str, &'a str)>) -> Self {
        Self { client, path, filters, cursor: None, ended: false }
    }

    pub async fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<Vec<T>>, client::Error> {
        if self.ended {
            return Ok(None);
        }
        let mut query = self.filters.clone();
        query.push(("limit", PAGE));
        if let Some(cursor) = &self.cursor {
            query.push(("cursor", cursor));
        }
        let page: Page<T> = self.client.get(self.path, &query).await?;
        self.ended = page.next_cursor.is_none();
        self.cursor = page.next_cursor;
        Ok(Some(page.items))
    }
}

/// The orders, added up, and those of the plan by their ids.
pub async fn orders(
    client: &Client,
    plan: &Plan,
    places: &Places,
) -> Result<(Orders, HashMap<String, Placed>), client::Error> {
    let mut pages = Pages::new(client, &["orders"], vec![("channel", &places.channel)]);
    let mut tally = Tally::new(plan);
    while let Some(orders) = pages.next::<Order>().await? {
        orders.into_iter().for_each(|order| tally.add(order));
    }
    Ok(tally.close())
}

struct Tally<'a> {
    planned: HashSet<&'a str>,
    seen: HashMap<String, usize>,
    placed: HashMap<String, Placed>,
    sum: Orders,
}

impl<'a> Tally<'a> {
    fn new(plan: &'a Plan) -> Self {
        let reference = |event: &'a Event| match event {
            Event::Sale(sale) => Some(sale.reference.as_str()),
            _ => None,
        };
        Self {
            planned: plan.events.iter().filter_map(reference).collect(),
            seen: HashMap::new(),
            placed: HashMap::new(),
            sum: Orders::default(),
        }
    }

    fn add(&mut self, order: Order) {
        let Some(reference) = order.reference.filter(|reference| self.planned.contains(reference.as_str())) else {
            self.sum.others += 1;
            return;
        };
        *self.seen.entry(reference.clone()).or_default() += 1;
        self.sum.found += 1;
        for line in &order.lines {
            self.sum.units_ordered += line.quantity;
            self.sum.units_shipped += line.shipped;
            self.sum.units_returned += line.returned;
        }
        let total = order.total.map_or(0, |total| total.amount);
        self.placed.insert(order.id, Placed { reference, total, payment_status: order.payment_status });
    }

    fn close(mut self) -> (Orders, HashMap<String, Placed>) {
        self.sum.missing = self.planned.len() - self.seen.len();
        self.sum.doubled =
            self.seen.into_iter().filter(|(_, times)| *times > 1).map(|(reference, _)| reference).collect();
        self.sum.doubled.sort();
        (self.sum, self.placed)
    }
}

pub async fn ledger(client: &Client, places: &Places) -> Result<Ledger, client::Error> {
    let mut sum = Ledger::default();
    for warehouse in &places.warehouses {
        let mut pages = Pages::new(client, &["stock", "movements"], vec![("warehouse", warehouse)]);
        while let Some(movements) = pages.next::<Movement>().await? {
            movements.iter().for_each(|movement| sum.add(movement));
        }
    }
    Ok(sum)
}

impl Ledger {
    fn add(&mut self, movement: &Movement) {
        self.movements += 1;
        let units = movement.quantity;
        match (movement.from.place.as_str(), movement.to.place.as_str()) {
            ("supplier", _) => self.from_supplier += units,
            (_, "customer") => self.to_customer += units,
            ("customer", _) => self.from_customer += units,
            (_, "scrap" | "adjustment") => self.written_off += units,
            ("scrap" | "adjustment", _) => self.written_off -= units,
            _ => {}
        }
    }
}

pub async fn self_check(client: &Client) -> Result<SelfCheck, client::Error> {
    client.get_slow(&["self-check"]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::replay::plan::{Sale, Totals};

    fn plan(references: &[&str]) -> Plan {
        let sale = |reference: &&str| {
            Event::Sale(Sale {
                reference: (*reference).into(),
                customer: None,
                country: None,
                at: chrono::DateTime::UNIX_EPOCH,
                lines: Vec::new(),
            })
        };
        let events = references.iter().map(sale).collect();
        Plan { products: Vec::new(), events, unmapped: Vec::new(), totals: Totals::default(), begins_at: None }
    }

    fn order(id: &str, reference: Option<&str>, quantity: i64, shipped: i64) -> Order {
        Order {
            id: id.into(),
            reference: reference.map(str::to_owned),
            total: Some(Amount { amount: 100 * quantity }),
            payment_status: "paid".into(),
            lines: vec![OrderLine { quantity, shipped, returned: 1 }],
        }
    }

    #[test]
    fn orders_are_added_up_and_doubled_and_missing_ones_are_found() {
        let plan = plan(&["1", "2", "3"]);
        let mut tally = Tally::new(&plan);
        tally.add(order("a", Some("1"), 5, 5));
        tally.add(order("b", Some("2"), 4, 3));
        tally.add(order("c", Some("1"), 5, 5));
        tally.add(order("d", None, 9, 9));
        let (sum, placed) = tally.close();
        assert_eq!((placed.len(), placed["b"].total), (3, 400));
        assert_eq!((sum.found, sum.missing, sum.others), (3, 1, 1));
        assert_eq!(sum.doubled, ["1"]);
        assert_eq!((sum.units_ordered, sum.units_shipped, sum.units_returned), (14, 13, 3));
    }

    #[test]
    fn movements_count_by_where_they_lead() {
        let mut ledger = Ledger::default();
        let moves = [
            ("supplier", "good", 9),
            ("good", "customer", 5),
            ("customer", "good", 2),
            ("good", "scrap", 1),
            ("adjustment", "good", 3),
        ];
        for (from, to, quantity) in moves {
            let end = |place: &str| End { place: place.into() };
            ledger.add(&Movement { quantity, from: end(from), to: end(to) });
        }
        let Ledger { from_supplier, to_customer, from_customer, written_off, .. } = ledger;
        assert_eq!((from_supplier, to_customer, from_customer, written_off), (9, 5, 2, -2));
    }
}
