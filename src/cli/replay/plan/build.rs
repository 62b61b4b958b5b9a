//! From rows to a plan, invoice by invoice.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Cancellation, Event, Line, Plan, Return, Sale, Totals, WriteOff};
use crate::cli::replay::file::{File, Row};
use crate::cli::replay::goods::{self, Kind};
use crate::cli::replay::products::{Catalogue, is_sku};
use crate::cli::replay::unmapped::{Reason, Unmapped};

/// Lines that a cart may have.
const MAX_LINES: usize = 500;

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
        builder.totals.unmapped.add(0, 0);
        builder.unmapped.push(Unmapped::unreadable(bad));
    }
    for invoice in &invoices {
        builder.add(invoice);
    }
    builder.totals.customers = builder.customers.len();
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
    customers: HashSet<&'a str>,
    /// What may still come back, by customer and product, oldest first.
    returnable: HashMap<(&'a str, usize), Vec<Bought>>,
    /// What may still be given back of what was paid, by sale.
    refundable: HashMap<usize, i64>,
}

/// Units of one line that are with the customer.
struct Bought {
    sale: usize,
    price: i64,
    units: i64,
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
        self.totals.unmapped.add(units, row.pence(units));
        self.push_unmapped(row, units, reason);
    }

    fn push_unmapped(&mut self, row: &Row, units: i64, reason: Reason) {
        let (raw, pence) = (row.raw.clone(), row.pence(units));
        self.unmapped.push(Unmapped { line: row.line, raw, units, pence, reason });
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
        let mut sold: Vec<(&'a Row, usize)> = Vec::new();
        for row in &invoice.rows {
            let Some(product) = self.product(row) else {
                continue;
            };
            if row.quantity < 0 {
                self.write_off(row, product);
            } else {
                sold.push((row, product));
            }
        }
        let first = self.events.len();
        let mut lines: Vec<Line> = Vec::new();
        let mut by_product: HashMap<usize, usize> = HashMap::new();
        for (row, product) in sold {
            let at = *by_product.entry(product).or_insert(lines.len());
            if at == lines.len() {
                lines.push(Line { product, units: 0, pence: 0 });
            }
            lines[at].units += row.quantity;
            lines[at].pence += self.count_sale(row, product);
            self.keep_returnable(row, product, first + at / MAX_LINES);
        }
        let raw = &invoice.rows[0].raw;
        for (part, lines) in lines.chunks(MAX_LINES).enumerate() {
            let reference = if part == 0 { raw.invoice.clone() } else { format!("{}/{}", raw.invoice, part + 1) };
            let sale = Sale {
                reference,
                customer: Some(raw.customer.clone()).filter(|customer| !customer.is_empty()),
                country: goods::country(&raw.country),
                at: goods::london(invoice.rows[0].date),
                lines: lines.to_vec(),
            };
            self.customers.extend(sale.customer.as_ref().map(|_| raw.customer.as_str()));
            self.refundable.insert(self.events.len(), sale.pence());
            self.totals.orders += 1;
            self.events.push(Event::Sale(sale));
        }
    }

    /// Counts a line that is sold, and says what it costs. A price of zero or less is free of charge.
    fn count_sale(&mut self, row: &Row, product: usize) -> i64 {
        let is_priced = row.price > 0;
        let pence = if is_priced { row.pence(row.quantity) } else { 0 };
        self.catalogue.products[product].sold += row.quantity;
        self.totals.sold.add(row.quantity, pence);
        if row.price_pence() <= 0 {
            self.totals.sold_free_of_charge.add(row.quantity, pence);
        }
        let rounded = if is_priced { row.rounded(row.quantity) } else { 0 };
        self.totals.rounded_lines += usize::from(rounded != 0);
        self.totals.rounded_hundredths += rounded;
        pence
    }

    /// Remembers what a customer may send back; nobody knows whose an order without one is.
    fn keep_returnable(&mut self, row: &'a Row, product: usize, sale: usize) {
        let customer = row.raw.customer.as_str();
        if !customer.is_empty() {
            let bought = Bought { sale, price: row.price, units: row.quantity };
            self.returnable.entry((customer, product)).or_default().push(bought);
        }
    }

    fn write_off(&mut self, row: &Row, product: usize) {
        let units = -row.quantity;
        self.catalogue.products[product].written_off += units;
        self.totals.written_off.add(units, row.pence(units));
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
        let mut returns: BTreeMap<usize, BTreeMap<usize, Line>> = BTreeMap::new();
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
                    let of_sale = returns.entry(sale).or_default();
                    let line = of_sale.entry(product).or_insert(Line { product, units: 0, pence: 0 });
                    line.units += units;
                    line.pence += row.pence(units).max(0);
                }
            }
        }
        if returns.is_empty() {
            return;
        }
        let returns =
            returns.into_iter().map(|(sale, lines)| self.give_back(sale, lines.into_values().collect())).collect();
        let first = invoice.rows[0];
        self.events.push(Event::Cancellation(Cancellation {
            invoice: first.raw.invoice.clone(),
            customer: first.raw.customer.clone(),
            at: goods::london(first.date),
            returns,
        }));
    }

    /// Finds the sales that a line of a cancellation gives back, and how many units of each.
    fn take_back(&mut self, row: &'a Row, product: usize) -> Vec<(usize, i64)> {
        let wanted = -row.quantity;
        let mut left = wanted;
        let mut taken = Vec::new();
        let mut none = Vec::new();
        let bought = self.returnable.get_mut(&(row.raw.customer.as_str(), product)).unwrap_or(&mut none);
        while left > 0 && !bought.is_empty() {
            let at = bought.iter().rposition(|bought| bought.price == row.price).unwrap_or(bought.len() - 1);
            let units = left.min(bought[at].units);
            taken.push((bought[at].sale, units));
            bought[at].units -= units;
            left -= units;
            if bought[at].units == 0 {
                bought.remove(at);
            }
        }
        if left == wanted {
            self.skip(row, -left, Reason::CancelledWithoutOrder);
            return taken;
        }
        self.totals.returned.add(wanted - left, 0);
        if left > 0 {
            self.totals.returned_in_part += 1;
            self.push_unmapped(row, -left, Reason::CancelledBeyondOrders);
        }
        taken
    }

    /// What comes back of one sale, and what of the money does.
    fn give_back(&mut self, sale: usize, lines: Vec<Line>) -> Return {
        let asked: i64 = lines.iter().map(|line| line.pence).sum();
        let left = self.refundable.entry(sale).or_default();
        let refund = asked.min(*left);
        *left -= refund;
        self.totals.returned.pence += refund;
        self.totals.beyond_payments_pence += asked - refund;
        Return { sale, lines, refund }
    }
}
