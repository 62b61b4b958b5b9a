//! What the rows of the file mean for an inventory: products, sales, write-offs, returns, and what
//! cannot be mapped, with the reason. Pure: no I/O, no clock.
//!
//! - A line of goods with a positive quantity on an ordinary invoice is a sale, one without a price too. Lines
//!   of one product go together, as in a cart.
//! - A negative quantity on an ordinary invoice is a write-off.
//! - A cancellation returns goods of the same customer's earlier orders, those that were sold at its price
//!   first, and the newest first. What it says they are worth is given back, up to what was paid.
//!
//! **Invariant:** every line of the file is in exactly one of the counts of [`Totals`].

mod build;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::build::build;
use super::products::Product;
use super::unmapped::Unmapped;

#[derive(Debug)]
pub struct Plan {
    pub products: Vec<Product>,
    /// In the order of the file. A cancellation comes after every sale that it names.
    pub events: Vec<Event>,
    pub unmapped: Vec<Unmapped>,
    pub totals: Totals,
    pub begins_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
pub enum Event {
    Sale(Sale),
    WriteOff(WriteOff),
    Cancellation(Cancellation),
}

#[derive(Debug)]
pub struct Sale {
    /// The invoice; a further part of an invoice of more than 500 products has `/2`, `/3`…
    pub reference: String,
    pub customer: Option<String>,
    pub country: Option<&'static str>,
    pub at: DateTime<Utc>,
    pub lines: Vec<Line>,
}

impl Sale {
    /// What is to be paid.
    pub fn pence(&self) -> i64 {
        self.lines.iter().map(|line| line.pence).sum()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub product: usize,
    pub units: i64,
    /// What all of them cost, or give back.
    pub pence: i64,
}

#[derive(Debug)]
pub struct WriteOff {
    pub invoice: String,
    /// Line of the file, as one invoice may write off several products.
    pub line: u64,
    pub at: DateTime<Utc>,
    pub product: usize,
    pub units: i64,
    pub note: String,
}

#[derive(Debug)]
pub struct Cancellation {
    pub invoice: String,
    pub customer: String,
    pub at: DateTime<Utc>,
    pub returns: Vec<Return>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Return {
    /// Position of the sale among the events.
    pub sale: usize,
    pub lines: Vec<Line>,
    /// What is given back: no more than what is left of what was paid.
    pub refund: i64,
}

impl Event {
    /// Events of one lane keep their order: those of a customer, else those of an invoice.
    pub fn lane(&self) -> &str {
        match self {
            Self::Sale(sale) => sale.customer.as_deref().unwrap_or(&sale.reference),
            Self::WriteOff(write_off) => &write_off.invoice,
            Self::Cancellation(cancellation) => &cancellation.customer,
        }
    }

    /// Roughly how much work it is.
    fn weight(&self) -> usize {
        match self {
            Self::Sale(sale) => 12 + sale.lines.len(),
            Self::WriteOff(_) => 3,
            Self::Cancellation(cancellation) => 6 * cancellation.returns.len(),
        }
    }
}

/// Lines and units of one kind, and what they come to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    pub lines: usize,
    pub units: i64,
    pub pence: i64,
}

impl Count {
    pub fn add(&mut self, units: i64, pence: i64) {
        self.lines += 1;
        self.units += units;
        self.pence = self.pence.saturating_add(pence);
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub lines_read: usize,
    pub lines_beyond_the_limit: usize,
    pub invoices: usize,
    pub invoices_without_goods: usize,
    pub orders: usize,
    /// Customers whom the file knows by a number; the others are guests.
    pub customers: usize,
    pub sold: Count,
    /// Part of `sold`: lines with a fraction of a penny, and what rounding them added, in hundredths of a penny.
    pub rounded_lines: usize,
    pub rounded_hundredths: i64,
    /// Part of `sold`: lines without a price.
    pub sold_free_of_charge: Count,
    pub written_off: Count,
    /// Lines of cancellations that found an order, the units of them that did, and what was given back for them.
    pub returned: Count,
    /// What cancellations give back beyond what was paid for their orders.
    pub beyond_payments_pence: i64,
    /// Lines that are returned in part and unmapped for the rest; they count as returned.
    pub returned_in_part: usize,
    /// Lines that are not mapped at all.
    pub unmapped: Count,
}

/// Deals the events out to so many workers, evenly; a lane goes to one worker and keeps its order.
pub fn deal(events: &[Event], workers: usize) -> Vec<Vec<usize>> {
    let mut hands = vec![Vec::new(); workers.max(1)];
    let mut loads = vec![0; hands.len()];
    let mut worker_of: HashMap<&str, usize> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        let worker = *worker_of
            .entry(event.lane())
            .or_insert_with(|| (0..loads.len()).min_by_key(|worker| loads[*worker]).unwrap_or_default());
        loads[worker] += event.weight();
        hands[worker].push(at);
    }
    hands
}

#[cfg(test)]
mod tests;
