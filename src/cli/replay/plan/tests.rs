use std::collections::HashSet;
use std::path::Path;

use super::*;
use crate::cli::replay::file;
use crate::cli::replay::goods::Kind;
use crate::cli::replay::unmapped::Reason;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";

/// A plan of lines of `invoice code quantity price customer`, a minute apart.
fn plan(lines: &[&str]) -> Plan {
    limited(lines, None)
}

fn limited(lines: &[&str], limit: Option<usize>) -> Plan {
    let rows: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| {
            let field: Vec<&str> = line.split(' ').collect();
            let customer = field.get(4).unwrap_or(&"");
            format!(
                "{},{},NAME {},{},2010-12-01 08:{at:02}:00,{},{customer},France",
                field[0], field[1], field[1], field[2], field[3]
            )
        })
        .collect();
    let text = format!("{HEADER}\n{}\n", rows.join("\n"));
    build(&file::read(Path::new("test.csv"), text.as_bytes()).unwrap(), limit)
}

fn returns(plan: &Plan) -> Vec<(&str, usize, i64)> {
    plan.events
        .iter()
        .filter_map(|event| match event {
            Event::Cancellation(cancellation) => Some(cancellation),
            _ => None,
        })
        .flat_map(|c| c.returns.iter().map(|r| (c.invoice.as_str(), r.sale, r.lines.iter().map(|l| l.units).sum())))
        .collect()
}

fn reasons(plan: &Plan) -> Vec<(u64, i64, Reason)> {
    plan.unmapped.iter().map(|line| (line.line, line.units, line.reason)).collect()
}

#[test]
fn an_invoice_is_one_order_and_repeats_go_together() {
    let plan = plan(&["1 85123A 6 2.55 7", "1 POST 1 18 7", "1 85123A 2 2.10 7", "2 85123a 1 2.95"]);
    let [Event::Sale(first), Event::Sale(second)] = plan.events.as_slice() else { panic!("{:?}", plan.events) };
    assert_eq!(first.reference, "1");
    assert_eq!(first.lines, [Line { product: 0, units: 8, pence: 6 * 255 + 2 * 210 }]);
    assert_eq!((first.customer.as_deref(), first.country), (Some("7"), Some("FR")));
    assert_eq!((second.customer.as_deref(), second.lines[0].product), (None, 1));
    assert_eq!(plan.products[0].sold, 8);
    assert_eq!(reasons(&plan), [(3, 1, Reason::NoGoods(Kind::Postage))]);
}

#[test]
fn names_and_prices_are_what_the_lines_say_most() {
    let text = format!(
        "{HEADER}\n1,22423,damages,-1,2010-12-01 08:00:00,0,,\n2,22423,CAKE  STAND,1,2010-12-01 08:00:00,12.75,,\n\
         3,22423,CAKE  STAND,1,2010-12-01 08:00:00,10.95,,\n4,22423,STAND,1,2010-12-01 08:00:00,12.75,,\n\
         5,21111,?,1,2010-12-01 08:00:00,0,,\n"
    );
    let plan = build(&file::read(Path::new("test.csv"), text.as_bytes()).unwrap(), None);
    let of = |at: usize| (plan.products[at].name.as_str(), plan.products[at].price_pence);
    assert_eq!(of(0), ("CAKE STAND", Some(1275)));
    assert_eq!(of(1), ("21111", None));
}

#[test]
fn a_cancellation_takes_the_newest_order_first_and_several_if_need_be() {
    let plan = plan(&["1 22423 5 1 7", "2 22423 4 1 7", "3 22423 9 1 8", "C4 22423 -6 1 7", "C5 22423 -3 1 7"]);
    assert_eq!(returns(&plan), [("C4", 0, 2), ("C4", 1, 4), ("C5", 0, 3)]);
    assert_eq!(plan.totals.returned, Count { lines: 2, units: 9, pence: 900 });
    assert!(plan.unmapped.is_empty());
}

#[test]
fn a_cancellation_takes_what_was_sold_at_its_price_first_and_gives_back_no_more_than_was_paid() {
    let plan = plan(&["1 22423 5 1 7", "2 22423 4 3 7", "C3 22423 -6 1 7", "C4 22423 -3 5 7"]);
    assert_eq!(returns(&plan), [("C3", 0, 5), ("C3", 1, 1), ("C4", 1, 3)]);
    let refunds: Vec<i64> = plan
        .events
        .iter()
        .filter_map(|event| if let Event::Cancellation(c) = event { Some(&c.returns) } else { None })
        .flat_map(|returns| returns.iter().map(|back| back.refund))
        .collect();
    assert_eq!(refunds, [500, 100, 1100]);
    assert_eq!((plan.totals.returned.pence, plan.totals.beyond_payments_pence), (1700, 400));
}

#[test]
fn fractions_of_a_penny_are_rounded_line_by_line_and_counted() {
    let plan = plan(&["1 22423 15 0.001", "1 22424 2 0.005", "2 22423 1 -4"]);
    let Event::Sale(first) = &plan.events[0] else { panic!() };
    assert_eq!(first.lines.iter().map(|line| line.pence).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((plan.totals.sold.pence, plan.totals.rounded_lines, plan.totals.rounded_hundredths), (3, 1, 50));
}

#[test]
fn what_a_cancellation_does_not_find_is_listed() {
    let plan = plan(&[
        "C1 22423 -1 1 7",
        "2 22423 2 1 7",
        "C3 22423 -5 1 7",
        "C4 22423 -1 1",
        "C5 22423 3 1 7",
        "C6 D -1 9 7",
        "A7 B 1 9",
        "8 22423 0 1",
        "C9 22423 -2 1 7",
    ]);
    assert_eq!(returns(&plan), [("C3", 1 - 1, 2)]);
    let expected = [
        (2, -1, Reason::CancelledWithoutOrder),
        (4, -3, Reason::CancelledBeyondOrders),
        (5, -1, Reason::CancelledWithoutCustomer),
        (6, 3, Reason::CancelledWithPositiveQuantity),
        (7, -1, Reason::NoGoods(Kind::Discount)),
        (8, 1, Reason::Bookkeeping),
        (9, 0, Reason::ZeroQuantity),
        (10, -2, Reason::CancelledWithoutOrder),
    ];
    assert_eq!(reasons(&plan), expected);
}

#[test]
fn a_negative_quantity_on_an_invoice_is_a_write_off() {
    let plan = plan(&["1 22423 -8 0", "2 22423 3 0", "3 POST 1 5"]);
    let [Event::WriteOff(write_off), Event::Sale(_)] = plan.events.as_slice() else { panic!("{:?}", plan.events) };
    assert_eq!((write_off.units, write_off.line, write_off.note.as_str()), (8, 2, "NAME 22423"));
    assert_eq!((plan.products[0].sold, plan.products[0].written_off), (3, 8));
    assert_eq!(plan.totals.sold_free_of_charge, Count { lines: 1, units: 3, pence: 0 });
    assert_eq!(plan.totals.invoices_without_goods, 1);
}

#[test]
fn an_invoice_longer_than_a_cart_may_be_becomes_several() {
    let lines: Vec<String> = (0..501).map(|at| format!("1,{},N,1,2010-12-01 08:00:00,1,7,", 20_000 + at)).collect();
    let text = format!("{HEADER}\n{}\n", lines.join("\n"));
    let plan = build(&file::read(Path::new("test.csv"), text.as_bytes()).unwrap(), None);
    let [Event::Sale(first), Event::Sale(second)] = plan.events.as_slice() else { panic!() };
    assert_eq!((first.lines.len(), first.reference.as_str()), (500, "1"));
    assert_eq!((second.lines.len(), second.reference.as_str()), (1, "1/2"));
}

#[test]
fn a_limit_counts_invoices_and_leaves_the_rest_alone() {
    let lines = ["1 22423 1 1", "2 22423 1 1", "1 22424 1 1", "3 22425 1 1"];
    let plan = limited(&lines, Some(2));
    assert_eq!((plan.totals.orders, plan.products.len()), (2, 2));
    assert_eq!((plan.totals.lines_beyond_the_limit, plan.totals.sold.units), (1, 3));
}

#[test]
fn lanes_keep_their_order_and_workers_share_alike() {
    let plan =
        plan(&["1 22423 1 1 7", "2 22423 1 1", "3 22423 1 1 7", "C4 22423 -1 1 7", "5 22423 1 1", "6 22423 1 1"]);
    let hands = deal(&plan.events, 2);
    assert_eq!(hands, [vec![0, 2, 3], vec![1, 4, 5]]);
}

/// The real file, where it is at hand: nothing is lost between its lines and the plan.
#[test]
fn the_whole_file_is_accounted_for() {
    let Ok(path) = std::env::var("STOCKHOLD_TEST_RETAIL_FILE") else {
        return;
    };
    let text = file::text(Path::new(&path)).unwrap();
    let file = file::read(Path::new(&path), &text).unwrap();
    let plan = build(&file, None);
    let Totals { lines_read, sold, written_off, returned, unmapped, .. } = plan.totals.clone();
    assert_eq!(lines_read, 370_931);
    assert_eq!(sold.lines + written_off.lines + returned.lines + unmapped.lines, lines_read);
    let by_the_file = file::sold(&text, None);
    assert_eq!(sold.units, by_the_file.units);
    assert_eq!(Some(sold.pence), by_the_file.pence(plan.totals.rounded_hundredths));
    let not_mapped: i64 = plan.unmapped.iter().map(|line| line.pence).sum();
    let given_back = returned.pence + plan.totals.beyond_payments_pence;
    let all: i64 = file.rows.iter().map(|row| row.pence(row.quantity)).sum();
    assert_eq!(sold.pence - written_off.pence - given_back + not_mapped, all);
    assert_eq!(plan.products.iter().map(|product| product.sold).sum::<i64>(), sold.units);
    let references: HashSet<_> = plan
        .events
        .iter()
        .filter_map(|event| if let Event::Sale(sale) = event { Some(&sale.reference) } else { None })
        .collect();
    assert_eq!(references.len(), plan.totals.orders);
    for (at, event) in plan.events.iter().enumerate() {
        let Event::Cancellation(cancellation) = event else {
            continue;
        };
        for back in &cancellation.returns {
            let Event::Sale(sale) = &plan.events[back.sale] else { panic!() };
            assert!(back.sale < at && sale.at <= cancellation.at);
            assert_eq!(sale.customer.as_deref(), Some(cancellation.customer.as_str()));
        }
    }
}
