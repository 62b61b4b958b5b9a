//! The summary of a replay, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::money::Money;
use super::plan::{Count, Totals};
use super::readback::{Ledger, Orders, SelfCheck};
use super::run::Failure;
use crate::cli::client::Calls;

#[derive(Debug, Serialize)]
pub struct Summary {
    pub file: String,
    pub ok: bool,
    /// Why it is not ok.
    pub faults: Vec<String>,
    pub products: usize,
    pub plan: Totals,
    /// The straight sum over the file's lines.
    pub units_sold_by_the_file: i64,
    /// The same of their prices, with what rounding added by the plan; none if that leaves a fraction of a penny.
    pub pence_sold_by_the_file: Option<i64>,
    pub server: Orders,
    pub money: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    pub self_check: SelfCheck,
    pub cancellations: Cancellations,
    pub unmapped: BTreeMap<String, Count>,
    pub failures: Vec<Failure>,
    pub calls: Calls,
    pub elapsed_s: f64,
    pub calls_per_s: f64,
    pub orders_per_s: f64,
}

/// Lines of cancellations that name goods.
#[derive(Debug, Default, Serialize)]
pub struct Cancellations {
    pub matched: Count,
    /// Part of `matched`: for some of their units no order was found.
    pub matched_in_part: usize,
    pub unmatched: Count,
}

impl Summary {
    /// Compares what the server says with what the file says.
    pub fn judge(&mut self) {
        let mut faults = Vec::new();
        let mut differ = |what: &str, file: i64, server: i64| {
            if file != server {
                faults.push(format!("{what}: {}", sides(grouped, file, server)));
            }
        };
        differ("units sold", self.units_sold_by_the_file, self.server.units_shipped);
        differ("units sold, as planned", self.units_sold_by_the_file, self.plan.sold.units);
        differ("units returned", self.plan.returned.units, self.server.units_returned);
        if let Some(ledger) = &self.ledger {
            differ("units sold, in the ledger", self.units_sold_by_the_file, ledger.to_customer);
            differ("units returned, in the ledger", self.plan.returned.units, ledger.from_customer);
            differ("units written off, in the ledger", self.plan.written_off.units, ledger.written_off);
        }
        differ("carts checked out", self.plan.orders as i64, self.money.carts_checked_out as i64);
        let mut differ = |what: &str, file: i64, server: i64| {
            if file != server {
                faults.push(format!("{what}: {}", sides(pounds, file, server)));
            }
        };
        // Of no file, so it differs.
        let sold = self.pence_sold_by_the_file.unwrap_or(-1);
        differ("money sold", sold, self.money.ordered);
        differ("money sold, as planned", sold, self.plan.sold.pence);
        differ("money taken", sold, self.money.captured);
        differ("money given back", self.plan.returned.pence, self.money.refunded);
        let mut some = |what: &str, count: usize| {
            if count > 0 {
                faults.push(format!("{} {what}", grouped(count as i64)));
            }
        };
        some("invoices without an order", self.server.missing);
        some("invoices with more than one order", self.server.doubled.len());
        some("orders whose money or cart differs", self.money.differing);
        some("calls failed for good", self.failures.len());
        if !self.self_check.ok || !self.self_check.differences.is_empty() {
            faults.push(format!("the self-check found {} differences", self.self_check.differences.len()));
        }
        self.ok = faults.is_empty();
        self.faults = faults;
    }
}

impl Summary {
    /// What is told about the file and its orders, by label.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let n = |count: usize| grouped(count as i64);
        let (plan, server, cancelled) = (&self.plan, &self.server, &self.cancellations);
        let beyond = match plan.lines_beyond_the_limit {
            0 => String::new(),
            beyond => format!(", of which {} beyond the limit", n(beyond)),
        };
        let others = match server.others {
            0 => String::new(),
            others => format!("; {} of other files", n(others)),
        };
        let (missing, doubled) = (n(server.missing), n(server.doubled.len()));
        let lines = |count: Count| format!("{} on {} lines", grouped(count.units), n(count.lines));
        let mut rows = vec![
            ("lines read", n(plan.lines_read) + &beyond),
            ("products", n(self.products)),
            ("invoices", format!("{}, of which {} sell no goods", n(plan.invoices), n(plan.invoices_without_goods))),
            (
                "orders",
                format!(
                    "{} planned, {} found; {missing} missing, {doubled} doubled{others}",
                    n(plan.orders),
                    n(server.found)
                ),
            ),
            ("units sold", sides(grouped, self.units_sold_by_the_file, server.units_shipped)),
            ("  free of charge", lines(plan.sold_free_of_charge)),
            ("units returned", sides(grouped, plan.returned.units, server.units_returned)),
            ("units written off", lines(plan.written_off)),
            (
                "cancelled lines",
                format!(
                    "{} matched, {} of them in part; {} without an order",
                    n(cancelled.matched.lines),
                    n(cancelled.matched_in_part),
                    n(cancelled.unmatched.lines)
                ),
            ),
        ];
        rows.extend(self.money_rows());
        if let Some(ledger) = &self.ledger {
            let [opened, sold, back, written_off] =
                [ledger.from_supplier, ledger.to_customer, ledger.from_customer, ledger.written_off].map(grouped);
            rows.push((
                "ledger",
                format!(
                    "{} movements: {opened} units in, {sold} sold, {back} back, {written_off} written off",
                    n(ledger.movements)
                ),
            ));
        }
        rows
    }

    fn money_rows(&self) -> Vec<(&'static str, String)> {
        let n = |count: usize| grouped(count as i64);
        let (plan, money) = (&self.plan, &self.money);
        let rounded = match plan.rounded_lines {
            0 => "no line with a fraction of a penny".to_owned(),
            lines => {
                let hundredths = grouped(plan.rounded_hundredths);
                format!("{} lines rounded to the penny, by {hundredths}/100 of a penny together", n(lines))
            }
        };
        let beyond = match plan.beyond_payments_pence {
            0 => String::new(),
            beyond => format!("; {} more than was paid", pounds(beyond)),
        };
        let kept = money.captured - money.refunded;
        vec![
            (
                "carts checked out",
                format!("{}, by {} customers and by guests", n(money.carts_checked_out), n(plan.customers)),
            ),
            ("money sold", sides(pounds, self.pence_sold_by_the_file.unwrap_or(-1), money.ordered)),
            ("  rounding", rounded),
            ("money taken", format!("{} by {} payments", pounds(money.captured), n(money.payments))),
            ("money given back", sides(pounds, plan.returned.pence, money.refunded) + &beyond),
            ("money kept", sides(pounds, plan.sold.pence - plan.returned.pence, kept)),
            ("  differences", format!("{} orders", n(money.differing))),
        ]
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.file)?;
        for (label, text) in self.rows() {
            writeln!(f, "  {label:<18} {text}")?;
        }
        let unmapped = self.unmapped.values().map(|count| count.lines as i64).sum();
        writeln!(f, "  {:<18} {} lines", "not mapped", grouped(unmapped))?;
        for (reason, count) in &self.unmapped {
            let (lines, units, money) = (grouped(count.lines as i64), grouped(count.units), pounds(count.pence));
            writeln!(f, "    {reason:<46} {lines:>7} lines {units:>9} units {money:>13}")?;
        }
        for difference in &self.money.differences {
            writeln!(f, "  differs: {difference}")?;
        }
        writeln!(f, "  {:<18} {} differences", "self-check", self.self_check.differences.len())?;
        for difference in self.self_check.differences.iter().take(10) {
            writeln!(f, "    {difference}")?;
        }
        let [sent, repeated, replayed] =
            [self.calls.sent, self.calls.repeated, self.calls.replayed].map(|count| grouped(count as i64));
        let (elapsed, orders) = (self.elapsed_s, self.orders_per_s);
        let pace = format!("{sent} in {elapsed:.1} s, {:.0}/s, {orders:.1} orders/s", self.calls_per_s);
        writeln!(f, "  {:<18} {pace}; {repeated} repeated, {replayed} answered from an earlier run", "calls")?;
        match self.faults.as_slice() {
            [] => writeln!(f, "The server agrees with the file."),
            faults => writeln!(f, "NOT OK: {}", faults.join("; ")),
        }
    }
}

/// A number with a comma between thousands.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Pence as pounds.
pub fn pounds(pence: i64) -> String {
    let sign = if pence < 0 { "-" } else { "" };
    let pence = pence.unsigned_abs();
    format!("{sign}£{}.{:02}", grouped((pence / 100).cast_signed()), pence % 100)
}

fn sides(shown: fn(i64) -> String, file: i64, server: i64) -> String {
    format!("{} by the file, {} by the server", shown(file), shown(server))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(sold_by_server: i64) -> Summary {
        Summary {
            file: "file.csv".into(),
            ok: false,
            faults: Vec::new(),
            products: 1,
            plan: Totals { sold: Count { lines: 2, units: 9, pence: 900 }, ..Totals::default() },
            units_sold_by_the_file: 9,
            pence_sold_by_the_file: Some(900),
            server: Orders { units_shipped: sold_by_server, ..Orders::default() },
            money: Money { ordered: 900, captured: 900, ..Money::default() },
            ledger: None,
            self_check: SelfCheck { ok: true, differences: Vec::new() },
            cancellations: Cancellations::default(),
            unmapped: BTreeMap::new(),
            failures: Vec::new(),
            calls: Calls { sent: 4, repeated: 0, replayed: 0 },
            elapsed_s: 1.0,
            calls_per_s: 4.0,
            orders_per_s: 1.0,
        }
    }

    #[test]
    fn it_is_well_when_the_server_agrees_with_the_file() {
        let mut agreeing = summary(9);
        agreeing.judge();
        assert!(agreeing.ok, "{:?}", agreeing.faults);
        let mut short = summary(8);
        short.judge();
        assert_eq!(short.faults, ["units sold: 9 by the file, 8 by the server"]);
        assert!(!short.ok);
    }

    #[test]
    fn money_that_is_not_what_the_file_says_is_a_fault() {
        let mut summary = summary(9);
        summary.money.captured = 123_450;
        summary.money.refunded = 1;
        summary.money.differing = 1;
        summary.judge();
        let expected = [
            "money taken: £9.00 by the file, £1,234.50 by the server",
            "money given back: £0.00 by the file, £0.01 by the server",
            "1 orders whose money or cart differs",
        ];
        assert_eq!(summary.faults, expected);
        summary.pence_sold_by_the_file = None;
        summary.judge();
        assert!(summary.faults.iter().any(|fault| fault.starts_with("money sold: ")), "{:?}", summary.faults);
    }

    #[test]
    fn a_doubled_order_or_a_difference_is_a_fault() {
        let mut summary = summary(9);
        summary.server.doubled.push("536365".into());
        summary.self_check.differences.push(serde_json::json!({"check": "ledger"}));
        summary.judge();
        assert_eq!(summary.faults.len(), 2);
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 370_931, -1_234_567].map(grouped), ["0", "999", "1,000", "370,931", "-1,234,567"]);
    }
}
