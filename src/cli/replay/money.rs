//! Whether the money is there, order by order and in all: what the file says against the orders, payments and carts
//! that the server has. All amounts are in pence.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::plan::{Event, Plan};
use super::readback::{Pages, Placed};
use super::run::Places;
use super::summary::pounds;
use crate::cli::client::{self, Client};

/// So many orders that differ are told one by one.
const TOLD: usize = 20;

/// What the server has, added up over the orders of the plan.
#[derive(Debug, Default, Serialize)]
pub struct Money {
    pub ordered: i64,
    pub payments: usize,
    pub authorised: i64,
    pub captured: i64,
    pub refunded: i64,
    pub carts_checked_out: usize,
    /// Orders of which a total, a payment, its state or a cart is not as the file has it.
    pub differing: usize,
    /// What it is, of the first of them.
    pub differences: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Payment {
    order_id: String,
    authorised: i64,
    captured: i64,
    refunded: i64,
}

#[derive(Debug, Deserialize)]
struct Cart {
    order_id: Option<String>,
}

/// What is to be paid for an order, and what of that is given back.
#[derive(Debug, Default, Clone, Copy)]
struct Due {
    pence: i64,
    refund: i64,
}

/// What was paid for an order, and how many carts it was.
#[derive(Debug, Default)]
struct Found {
    authorised: i64,
    captured: i64,
    refunded: i64,
    carts: usize,
}

impl Due {
    /// What the order should say.
    fn status(self) -> &'static str {
        match self {
            Self { pence: 0, .. } => "unpaid",
            Self { refund: 0, .. } => "paid",
            Self { pence, refund } if pence == refund => "refunded",
            _ => "partially_refunded",
        }
    }
}

/// What the plan asks for, by the reference of the order.
fn due(plan: &Plan) -> HashMap<&str, Due> {
    let mut due: HashMap<&str, Due> = HashMap::new();
    for event in &plan.events {
        match event {
            Event::Sale(sale) => due.entry(&sale.reference).or_default().pence += sale.pence(),
            Event::WriteOff(_) => {}
            Event::Cancellation(cancellation) => {
                for back in &cancellation.returns {
                    if let Event::Sale(sale) = &plan.events[back.sale] {
                        due.entry(&sale.reference).or_default().refund += back.refund;
                    }
                }
            }
        }
    }
    due
}

pub async fn read(
    client: &Client,
    plan: &Plan,
    places: &Places,
    orders: &HashMap<String, Placed>,
) -> Result<Money, client::Error> {
    let mut tally = Tally { orders, found: HashMap::new(), sum: Money::default() };
    let channel = ("channel", places.channel.as_str());
    let mut pages = Pages::new(client, &["payments"], vec![channel]);
    while let Some(payments) = pages.next::<Payment>().await? {
        payments.iter().for_each(|payment| tally.add_payment(payment));
    }
    let mut pages = Pages::new(client, &["carts"], vec![channel, ("status", "checked_out")]);
    while let Some(carts) = pages.next::<Cart>().await? {
        carts.iter().filter_map(|cart| cart.order_id.as_deref()).for_each(|order| tally.add_cart(order));
    }
    Ok(tally.close(&due(plan)))
}

struct Tally<'a> {
    orders: &'a HashMap<String, Placed>,
    /// By the order's id.
    found: HashMap<&'a str, Found>,
    sum: Money,
}

impl<'a> Tally<'a> {
    /// What belongs to an order of the plan; other orders of the channel do not count.
    fn of(&mut self, order: &str) -> Option<&mut Found> {
        let (id, _) = self.orders.get_key_value(order)?;
        Some(self.found.entry(id).or_default())
    }

    fn add_payment(&mut self, payment: &Payment) {
        let Some(found) = self.of(&payment.order_id) else { return };
        found.authorised += payment.authorised;
        found.captured += payment.captured;
        found.refunded += payment.refunded;
        self.sum.payments += 1;
        self.sum.authorised += payment.authorised;
        self.sum.captured += payment.captured;
        self.sum.refunded += payment.refunded;
    }

    fn add_cart(&mut self, order: &str) {
        let Some(found) = self.of(order) else { return };
        found.carts += 1;
        self.sum.carts_checked_out += 1;
    }

    fn close(mut self, due: &HashMap<&str, Due>) -> Money {
        let mut orders: Vec<(&'a String, &'a Placed)> = self.orders.iter().collect();
        orders.sort_by(|a, b| a.1.reference.cmp(&b.1.reference));
        let none = Found::default();
        for (id, placed) in orders {
            let due = due.get(placed.reference.as_str()).copied().unwrap_or_default();
            let found = self.found.get(id.as_str()).unwrap_or(&none);
            let wrong = differences(due, placed, found);
            self.sum.ordered += placed.total;
            self.sum.differing += usize::from(!wrong.is_empty());
            if !wrong.is_empty() && self.sum.differences.len() < TOLD {
                self.sum.differences.push(format!("{}: {}", placed.reference, wrong.join(", ")));
            }
        }
        self.sum
    }
}

fn differences(due: Due, placed: &Placed, found: &Found) -> Vec<String> {
    let amounts = [
        ("ordered", due.pence, placed.total),
        ("authorised", due.pence, found.authorised),
        ("captured", due.pence, found.captured),
        ("refunded", due.refund, found.refunded),
    ];
    let unequal = amounts.into_iter().filter(|(_, file, server)| file != server);
    let mut wrong: Vec<String> =
        unequal.map(|(what, file, server)| format!("{what} {} for {}", pounds(server), pounds(file))).collect();
    if placed.payment_status != due.status() {
        wrong.push(format!("{} for {}", placed.payment_status, due.status()));
    }
    if found.carts != 1 {
        wrong.push(format!("{} carts", found.carts));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(total: i64, status: &str) -> Placed {
        Placed { reference: "536365".into(), total, payment_status: status.into() }
    }

    fn paid(captured: i64, refunded: i64) -> Found {
        Found { authorised: captured, captured, refunded, carts: 1 }
    }

    #[test]
    fn an_order_is_paid_for_as_the_file_says_or_it_is_told_how_not() {
        let due = |pence, refund| Due { pence, refund };
        let none: Vec<String> = Vec::new();
        assert_eq!(differences(due(500, 0), &placed(500, "paid"), &paid(500, 0)), none);
        assert_eq!(differences(due(500, 200), &placed(500, "partially_refunded"), &paid(500, 200)), none);
        assert_eq!(differences(due(500, 500), &placed(500, "refunded"), &paid(500, 500)), none);
        assert_eq!(differences(due(0, 0), &placed(0, "unpaid"), &paid(0, 0)), none);
        let short = differences(due(500, 200), &placed(500, "paid"), &paid(499, 0));
        let expected = [
            "authorised £4.99 for £5.00",
            "captured £4.99 for £5.00",
            "refunded £0.00 for £2.00",
            "paid for partially_refunded",
        ];
        assert_eq!(short, expected);
        assert_eq!(differences(due(0, 0), &placed(0, "unpaid"), &Found::default()), ["0 carts"]);
    }

    #[test]
    fn payments_of_other_orders_do_not_count() {
        let orders = HashMap::from([("a".to_owned(), placed(500, "paid"))]);
        let mut tally = Tally { orders: &orders, found: HashMap::new(), sum: Money::default() };
        for order in ["a", "b"] {
            let order_id = order.to_owned();
            tally.add_payment(&Payment { order_id, authorised: 500, captured: 500, refunded: 0 });
            tally.add_cart(order);
        }
        let sum = tally.close(&HashMap::from([("536365", Due { pence: 500, refund: 0 })]));
        assert_eq!((sum.payments, sum.captured, sum.carts_checked_out), (1, 500, 1));
        assert_eq!((sum.ordered, sum.differing), (500, 0));
    }
}
