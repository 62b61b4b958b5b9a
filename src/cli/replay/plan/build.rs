//! From rows to a plan, invoice by invoice.

use std::collections::{BTreeMap, HashMap};

use super::{Cancellation, Event, Line, Plan, Return, Sale, Totals, WriteOff};
use crate::cli::replay::file::{File, Row};
use crate::cli::replay::goods::{self, Kind};
use crate::cli::replay::products::{Catalogue, is_sku};
use crate::cli::replay::unmapped::{Reason, Unmapped};

/// Lines that one reservation or order may have.
const MAX_LINES: usize = 1000;

/// At least one row.
struct Invoice<'a> {
    number: &'a str,
    rows: Vec<&'a Row>,
}

/// Rows by invoice, in the order of the first line of each, and how many rows the limit left out.
fn invoices(rows: &[Row], first: Option<usize>) -> (Vec<Invoice<'_>>, usize) {
    let mut found: Vec<Invoice<'_>> = Vec::new();
    let mut by_number: HashMap<&str, usize> = HashMap::new();
    let mut beyond = 0;
    for row in rows {
        let number = row.raw.invoice.as_str();
        let at = match by_number.get(number) {
            Some(at) => *at,
            None if first.is_some_and(|most| found.len() >= most) => {
                beyond += 1;
                continue;
            }
            None => {
                by_number.insert(number, found.len());
                found.push(Invoice { number, rows: Vec::new() });
                found.len() - 1
            }
        };
        found[at].rows.push(row);
    }
    (found, beyond)
}

/// Makes the plan of a file, or of its first so many invoices.
pub fn build(file: &File, first_invoices: Option<usize>) -> Plan {
    let (invoices, beyond) = invoices(&file.rows, first_invoices);
    let catalogue = Catalogue::new(invoices.iter().flat_map(|invoice| invoice.rows.iter().copied()));
    let mut builder = Builder { catalogue, ..Builder::default() };
    builder.totals.lines_read = file.rows.len() + file.unreadable.len();
    builder.totals.lines_beyond_the_limit = beyond;
    builder.totals.invoices = invoices.len();
    for bad in &file.unreadable {
        builder.totals.unmapped.add(0);
        builder.unmapped.push(Unmapped::unreadable(bad));
    }
    for invoice in &invoices {
        builder.add(invoice);
    }
    Plan {
        begins_at: file.rows.iter().map(|row| goods::london(row.date)).min(),
        products: builder.catalogue.products,
        events: builder.events,
        unmapped: builder.unmapped,
        totals: builder.totals,
    }
}

#[derive(Default)]
struct Builder<'a> {
    catalogue: Catalogue,
    events: Vec<Event>,
    unmapped: Vec<Unmapped>,
    totals: Totals,
    /// What may still come back: sales with units left, oldest first.
    returnable: HashMap<(&'a str, usize), Vec<(usize, i64)>>,
}

impl<'a> Builder<'a> {
    fn add(&mut self, invoice: &Invoice<'a>) {
        let before = self.events.len();
        match invoice.number.chars().next() {
            Some('C') => self.cancel(invoice),
            Some('A') => invoice.rows.iter().for_each(|row| self.skip(row, row.quantity, Reason::Bookkeeping)),
            _ => self.sell(invoice),
        }
        let ordinary = !invoice.number.starts_with(['C', 'A']);
        if ordinary && self.events.len() == before {
            self.totals.invoices_without_goods += 1;
        }
    }

    fn skip(&mut self, row: &Row, units: i64, reason: Reason) {
        self.totals.unmapped.add(units);
        self.unmapped.push(Unmapped { line: row.line, raw: row.raw.clone(), units, reason });
    }

    /// The product of a row, or none when the row had to be skipped.
    fn product(&mut self, row: &Row) -> Option<usize> {
        let reason = match goods::kind(&row.raw.code) {
            Kind::Goods if !is_sku(&row.raw.code) => Reason::NoSku,
            Kind::Goods if row.quantity == 0 => Reason::ZeroQuantity,
            Kind::Goods => return self.catalogue.position(&row.raw.code),
            kind => Reason::NoGoods(kind),
        };
        self.skip(row, row.quantity, reason);
        None
    }

    fn sell(&mut self, invoice: &Invoice<'a>) {
        let mut sold: Vec<(&Row, Line)> = Vec::new();
        for row in &invoice.rows {
            let Some(product) = self.product(row) else {
                continue;
            };
            if row.quantity < 0 {
                self.write_off(row, product);
            } else {
                sold.push((row, Line { product, units: row.quantity }));
            }
        }
        for (part, lines) in sold.chunks(MAX_LINES).enumerate() {
            let raw = &invoice.rows[0].raw;
            let reference = if part == 0 { raw.invoice.clone() } else { format!("{}/{}", raw.invoice, part + 1) };
            let lines: Vec<Line> = lines.iter().map(|(row, line)| self.count_sale(row, *line)).collect();
            self.keep_returnable(&raw.customer, &lines);
            self.totals.orders += 1;
            self.events.push(Event::Sale(Sale {
                reference,
                customer: Some(raw.customer.clone()).filter(|customer| !customer.is_empty()),
                country: goods::country(&raw.country),
                at: goods::london(invoice.rows[0].date),
                lines,
            }));
        }
    }

    fn count_sale(&mut self, row: &Row, line: Line) -> Line {
        self.catalogue.products[line.product].sold += line.units;
        self.totals.sold.add(line.units);
        if row.price_pence <= 0 {
            self.totals.sold_free_of_charge.add(line.units);
        }
        line
    }

    /// Remembers what a customer may send back; nobody knows whose an order without one is.
    fn keep_returnable(&mut self, customer: &'a str, lines: &[Line]) {
        if customer.is_empty() {
            return;
        }
        let sale = self.events.len();
        for line in lines {
            let sales = self.returnable.entry((customer, line.product)).or_default();
            match sales.last_mut() {
                Some((last, left)) if *last == sale => *left += line.units,
                _ => sales.push((sale, line.units)),
            }
        }
    }

    fn write_off(&mut self, row: &Row, product: usize) {
        let units = -row.quantity;
        self.catalogue.products[product].written_off += units;
        self.totals.written_off.add(units);
        self.events.push(Event::WriteOff(WriteOff {
            invoice: row.raw.invoice.clone(),
            line: row.line,
            at: goods::london(row.date),
            product,
            units,
            note: row.raw.description.clone(),
        }));
    }

    fn cancel(&mut self, invoice: &Invoice<'a>) {
        let mut returns: BTreeMap<usize, BTreeMap<usize, i64>> = BTreeMap::new();
        for row in &invoice.rows {
            let Some(product) = self.product(row) else {
                continue;
            };
            if row.quantity > 0 {
                self.skip(row, row.quantity, Reason::CancelledWithPositiveQuantity);
            } else if row.raw.customer.is_empty() {
                self.skip(row, row.quantity, Reason::CancelledWithoutCustomer);
            } else {
                for (sale, units) in self.take_back(row, product) {
                    *returns.entry(sale).or_default().entry(product).or_default() += units;
                }
            }
        }
        if returns.is_empty() {
            return;
        }
        let lines =
            |units: BTreeMap<usize, i64>| units.into_iter().map(|(product, units)| Line { product, units }).collect();
        let first = invoice.rows[0];
        self.events.push(Event::Cancellation(Cancellation {
            invoice: first.raw.invoice.clone(),
            customer: first.raw.customer.clone(),
            at: goods::london(first.date),
            returns: returns.into_iter().map(|(sale, units)| Return { sale, lines: lines(units) }).collect(),
        }));
    }

    /// Finds the sales that a line of a cancellation gives back, newest first, and how many units of each.
    fn take_back(&mut self, row: &'a Row, product: usize) -> Vec<(usize, i64)> {
        let wanted = -row.quantity;
        let mut left = wanted;
        let mut taken = Vec::new();
        if let Some(sales) = self.returnable.get_mut(&(row.raw.customer.as_str(), product)) {
            while let Some((sale, open)) = sales.last_mut() {
                let units = left.min(*open);
                taken.push((*sale, units));
                *open -= units;
                left -= units;
                if *open > 0 {
                    break;
                }
                sales.pop();
                if left == 0 {
                    break;
                }
            }
        }
        if left == wanted {
            self.skip(row, -left, Reason::CancelledWithoutOrder);
            return taken;
        }
        self.totals.returned.add(wanted - left);
        if left > 0 {
            self.totals.returned_in_part += 1;
            let reason = Reason::CancelledBeyondOrders;
            self.unmapped.push(Unmapped { line: row.line, raw: row.raw.clone(), units: -left, reason });
        }
        taken
    }
}
