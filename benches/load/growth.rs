//! G1: the shop grows, and the same calls should cost the same.
//!
//! Products and history are written straight into the tables, as the server would have written them: the self-check
//! has to agree in the end.

use std::time::Duration;

use crate::report::Report;
use crate::scenarios::{Bench, pause};
use crate::shop::{Operation, Pick};

const CLIENTS: usize = 64;

pub fn run(bench: &mut Bench, report: &mut Report) {
    let growth = bench.growth().to_vec();
    let [most, ledger, ended] = growth[..] else { panic!("--growth takes three numbers") };
    bench.progress.set_message("G1: the shop grows");
    measure(bench, report, 1000, "1,000 products");
    let mut there = 10_000;
    for products in [100_000, most] {
        add_products(bench, there, products);
        there = products.max(there);
        measure(bench, report, there, &format!("{} products", grouped(there)));
    }
    add_history(bench, there, ledger, ended);
    let behind = format!("… and {} ledger rows, {} ended reservations", grouped(ledger), grouped(ended));
    measure(bench, report, there, &behind);
    bench.house.check();
}

/// What was just loaded is written to disk, and what Postgres does of its own accord after that is over.
const SETTLE: Duration = Duration::from_secs(20);

fn measure(bench: &mut Bench, report: &mut Report, products: u64, name: &str) {
    bench.house.psql("stockhold", &["-c", "CHECKPOINT"]);
    pause(SETTLE);
    let of = usize::try_from(products).expect("a number of products");
    let reserve = Operation::Reserve { lines: 1, pick: Pick::Uniform(of) };
    let available = Operation::Available { products: 1, of };
    // Once for nothing: what was just written has to be read first.
    bench.load(&reserve, CLIENTS);
    for _ in 0..bench.runs() {
        let reserved = bench.load(&reserve, CLIENTS);
        let read = bench.load(&available, CLIENTS);
        report.growth(name, reserved, read);
    }
    bench.progress.inc(2 * bench.runs() as u64 + 4);
}

/// `P-{from}` up to `P-{to - 1}`, with stock of each.
fn add_products(bench: &Bench, from: u64, to: u64) {
    let Some(last) = to.checked_sub(1).filter(|last| *last >= from) else { return };
    bench.house.psql(
        "stockhold",
        &[
            "-c",
            &format!(
                "INSERT INTO inventory.products (sku, name) SELECT 'P-' || n, 'P-' || n FROM generate_series({from}, {last}) n"
            ),
            "-c",
            &format!(
                "INSERT INTO inventory.levels (sku, warehouse, on_hand)
                 SELECT 'P-' || n, 'MAIN', 1000000000 FROM generate_series({from}, {last}) n"
            ),
            "-c",
            &format!(
                "INSERT INTO inventory.movements (id, sku, quantity, from_place, to_place, to_warehouse, reason, actor, effective_at)
                 SELECT gen_random_uuid(), 'P-' || n, 1000000000, 'supplier', 'good', 'MAIN', 'received', '{SERVER}', clock_timestamp()
                 FROM generate_series({from}, {last}) n"
            ),
            "-c",
            "VACUUM ANALYZE inventory.products, inventory.levels",
        ],
    );
}

/// Who books what nobody did.
const SERVER: &str = "00000000-0000-0000-0000-000000000000";

/// Rows of the ledger that cancel each other out, and reservations that were released.
fn add_history(bench: &Bench, products: u64, ledger: u64, ended: u64) {
    let pairs = ledger / 2;
    bench.house.psql(
        "stockhold",
        &[
            "-c",
            &format!(
                "INSERT INTO inventory.movements (id, sku, quantity, from_place, to_place, to_warehouse, reason, actor, effective_at)
                 SELECT gen_random_uuid(), 'P-' || n % {products}, 1, 'adjustment', 'good', 'MAIN', 'found', '{SERVER}', clock_timestamp()
                 FROM generate_series(1, {pairs}) n"
            ),
            "-c",
            &format!(
                "INSERT INTO inventory.movements (id, sku, quantity, from_place, from_warehouse, to_place, reason, actor, effective_at)
                 SELECT gen_random_uuid(), 'P-' || n % {products}, 1, 'good', 'MAIN', 'adjustment', 'lost', '{SERVER}', clock_timestamp()
                 FROM generate_series(1, {pairs}) n"
            ),
            "-c",
            &format!(
                "INSERT INTO reservations.reservations (id, status, lines, skus, created_at, expires_at, ended_at)
                 SELECT gen_random_uuid(), 'released',
                        jsonb_build_array(jsonb_build_object('sku', sku, 'quantity', 1, 'requested', 1, 'backordered', 0,
                            'allocations', jsonb_build_array(jsonb_build_object('warehouse', 'MAIN', 'quantity', 1)))),
                        ARRAY[sku], clock_timestamp(), clock_timestamp(), clock_timestamp()
                 FROM (SELECT 'P-' || n % {products} AS sku FROM generate_series(1, {ended}) n) made"
            ),
            "-c",
            "VACUUM ANALYZE inventory.movements, reservations.reservations",
        ],
    );
}

pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let from_right = digits.bytes().rev().enumerate();
    let text = from_right.flat_map(|(n, digit)| (n > 0 && n % 3 == 0).then_some(b',').into_iter().chain([digit]));
    let mut text: Vec<u8> = text.collect();
    text.reverse();
    String::from_utf8(text).expect("digits and commas")
}
