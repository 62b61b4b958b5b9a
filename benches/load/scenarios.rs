//! The scenarios, in turns with the limits that they are measured against.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::Args;
use crate::client::Connection;
use crate::growth;
use crate::house::House;
use crate::limits::{self, Bare, Limit};
use crate::measure::{Figures, closed, open};
use crate::profile;
use crate::report::Report;
use crate::shop::{Operation, Pick, Place, Shopper};

/// Of the shop that most scenarios go to.
pub const PRODUCTS: usize = 10_000;

/// Clients that reserve in the background of a scenario that has somebody do so.
const BACKGROUND: usize = 8;

pub struct Bench {
    pub house: House,
    pub progress: ProgressBar,
    connections: Vec<usize>,
    time: Duration,
    runs: usize,
    only: Vec<String>,
    growth: Vec<u64>,
    runtime: Runtime,
    run: u64,
}

impl Bench {
    pub fn new(args: &Args, house: House) -> Self {
        Self {
            house,
            progress: ProgressBar::hidden(),
            connections: args.connections.clone(),
            time: Duration::from_secs(args.seconds),
            runs: args.runs,
            only: args.only.clone(),
            growth: args.growth.clone(),
            // One thread: what the client takes, the server does not get.
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
            run: 0,
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(name))
    }

    /// Runs of about the usual length.
    pub fn steps(&self) -> u64 {
        let crowds = self.connections.len();
        let closed = ["R1", "R2", "R3", "R4", "O1", "O2", "A1", "A2"].iter().filter(|name| self.wants(name)).count();
        let alone = ["OPEN", "E1", "M1"].iter().filter(|name| self.wants(name)).count();
        let growth = if self.wants("G1") { 4 * (2 * self.runs + 4) } else { 0 };
        let profile = if self.wants("PROFILE") { 6 } else { 0 };
        (self.runs * (closed * crowds + 8) + 4 * alone + growth + profile) as u64
    }

    pub fn run(&mut self, report: &mut Report) {
        report.memory("idle", self.house.memory());
        self.progress.set_message("a shop of 10,000 products");
        self.house.stock_up("P", PRODUCTS);
        limits::prepare(&self.house);
        for run in 0..self.runs {
            self.alternate(run, report);
        }
        if self.wants("OPEN") {
            self.open_loop(report);
        }
        if self.wants("E1") {
            self.expiry(report);
        }
        if self.wants("M1") {
            self.connections(report);
        }
        self.house.check();
        if self.wants("G1") {
            growth::run(self, report);
        }
        if self.wants("PROFILE") {
            profile::run(self, report);
        }
    }

    /// Every scenario once with each number of clients, the limits among them.
    fn alternate(&mut self, run: usize, report: &mut Report) {
        let (uniform, zipf) = (Pick::Uniform(PRODUCTS), Pick::zipf(PRODUCTS));
        let reserve = |lines: usize, pick: &Pick| Operation::Reserve { lines, pick: pick.clone() };
        self.limit("L3", Limit::Transaction { products: 10_000 }, &[1, 8], report);
        self.scenario("R1", &reserve(1, &uniform), report);
        self.limit("L1", Limit::OneStatement { products: 10_000 }, &[8, 16, 32], report);
        self.limit("L6", Limit::Fifty { products: 10_000 }, &[2], report);
        self.scenario("R2", &reserve(1, &Pick::One), report);
        self.limit("L2", Limit::OneStatement { products: 1 }, &[32], report);
        self.scenario("R3", &reserve(1, &zipf), report);
        self.scenario("R4", &reserve(5, &uniform), report);
        if self.wants("O1") {
            self.orders(report);
        }
        self.scenario("O2", &Operation::Whole { pick: uniform.clone() }, report);
        self.limit("L4", Limit::Read, &[32], report);
        self.bare(report);
        let background = reserve(1, &zipf);
        self.beside("A1", &Operation::Available { products: 1, of: PRODUCTS }, &background, report);
        self.beside("A2", &Operation::Available { products: 100, of: PRODUCTS }, &background, report);
        self.progress.println(format!("run {} of {} done", run + 1, self.runs));
    }

    fn next_place(&mut self) -> Place {
        self.run += 1;
        Place { at: self.house.at(), key: self.house.key.clone(), run: self.run }
    }

    /// So many clients, for the usual time.
    pub fn load(&mut self, operation: &Operation, clients: usize) -> Figures {
        let crowd = Shopper::crowd(&self.next_place(), operation, clients);
        self.runtime.block_on(closed(crowd, self.time))
    }

    fn scenario(&mut self, name: &str, operation: &Operation, report: &mut Report) {
        if !self.wants(name) {
            return;
        }
        for clients in self.connections.clone() {
            self.progress.set_message(format!("{name}, {clients} clients"));
            let figures = self.load(operation, clients);
            report.add(name, clients, figures);
            self.progress.inc(1);
        }
        report.memory(name, self.house.memory());
    }

    /// The scenario while others reserve.
    fn beside(&mut self, name: &str, operation: &Operation, background: &Operation, report: &mut Report) {
        if !self.wants(name) {
            return;
        }
        for clients in self.connections.clone() {
            self.progress.set_message(format!("{name}, {clients} clients"));
            let others = Shopper::crowd(&self.next_place(), background, BACKGROUND);
            let others = self.runtime.spawn(closed(others, self.time));
            let figures = self.load(operation, clients);
            let others = self.runtime.block_on(others).unwrap();
            report.add(name, clients, figures);
            report.add(&format!("R3 beside {name}"), clients, others);
            self.progress.inc(1);
        }
        report.memory(name, self.house.memory());
    }

    fn limit(&mut self, name: &str, limit: Limit, clients: &[usize], report: &mut Report) {
        for clients in clients {
            self.progress.set_message(format!("{name}, {clients} clients"));
            report.add(name, *clients, limits::run(&self.house, limit, *clients, self.time));
            self.progress.inc(1);
        }
    }

    /// L5, with what the server answers.
    fn bare(&mut self, report: &mut Report) {
        let place = self.next_place();
        let answer = self.runtime.block_on(async {
            let mut connection = Connection::open(place.at).await.unwrap();
            connection.ask("GET /v1/stock/P-1", &place.key, None, "").await.unwrap().body.to_vec()
        });
        let bare = Bare::start(&answer);
        for clients in self.connections.clone() {
            let place = Place { at: bare.at, ..self.next_place() };
            let crowd = Shopper::crowd(&place, &Operation::Get("/v1/stock/P-1".to_owned()), clients);
            report.add("L5", clients, self.runtime.block_on(closed(crowd, self.time)));
        }
        self.progress.inc(1);
    }

    /// O1: the reservations are made before.
    fn orders(&mut self, report: &mut Report) {
        for clients in self.connections.clone() {
            self.progress.set_message(format!("O1, {clients} clients"));
            let enough = 1500 * clients.min(6) as u64 * self.time.as_secs();
            let reservations = Arc::new(Mutex::new(self.reservations(enough, "P", PRODUCTS, 3600)));
            let figures = self.load(&Operation::Order { reservations }, clients);
            report.add("O1", clients, figures);
            self.progress.inc(1);
        }
        report.memory("O1", self.house.memory());
    }

    /// Makes reservations of one unit each that live so long; returns their ids.
    fn reservations(&self, many: u64, prefix: &str, products: usize, ttl_seconds: u64) -> Vec<String> {
        let mut ids = Vec::new();
        for first in (0..many).step_by(1000) {
            let items: Vec<Value> = (first..many.min(first + 1000))
                .map(|n| format!("{prefix}-{}", n * 7919 % products as u64))
                .map(|sku| json!({"lines": [{"sku": sku, "quantity": 1}], "ttl_seconds": ttl_seconds}))
                .collect();
            let made = self.house.post("/v1/reservations/batch", &json!({ "items": items }));
            let results = made["results"].as_array().cloned().unwrap_or_default();
            ids.extend(results.iter().map(|made| made["body"]["id"].as_str().expect("made").to_owned()));
        }
        ids
    }

    /// R1 by an open load of half of what it does with 64 clients: what a shopper meets on an ordinary day.
    fn open_loop(&mut self, report: &mut Report) {
        let operation = Operation::Reserve { lines: 1, pick: Pick::Uniform(PRODUCTS) };
        let most = self.load(&operation, 64).rate;
        let crowd = Shopper::crowd(&self.next_place(), &operation, 256);
        let figures = self.runtime.block_on(open(crowd, most / 2.0, self.time));
        report.add("R1 at half its rate, open loop", 256, figures);
        self.progress.inc(4);
    }

    /// E1: 100,000 holds end in one second while others reserve.
    fn expiry(&mut self, report: &mut Report) {
        const HOLDS: u64 = 100_000;
        const HELD: usize = 1000;
        self.progress.set_message("E1: 100,000 holds");
        self.house.stock_up("E", HELD);
        let sku = |n: usize| format!("E-{n}");
        let skus: Vec<String> = (0..HELD).map(sku).collect();
        let free = |house: &House| -> i64 {
            let seen = house.post("/v1/stock/query", &json!({ "skus": skus }));
            seen["items"].as_array().map_or(0, |items| items.iter().filter_map(|item| item["available"].as_i64()).sum())
        };
        let all = free(&self.house);
        let swept = self.house.metric("stockhold_reservations_expired_total");
        // Made second by second, each batch with what is left until the one moment.
        let (begun, life) = (Instant::now(), 90);
        let mut made = 0;
        while made < HOLDS {
            let left = life - begun.elapsed().as_secs().min(life - 10);
            made += self.reservations(5000, "E", HELD, left).len() as u64;
        }
        let due = begun + Duration::from_secs(life);
        let zipf = Operation::Reserve { lines: 1, pick: Pick::zipf(PRODUCTS) };
        // What R3 does before, and from the moment on at which they all end.
        pause(due.saturating_duration_since(Instant::now() + self.time + Duration::from_secs(2)));
        let before = self.load(&zipf, 32);
        pause(due.saturating_duration_since(Instant::now() + Duration::from_millis(500)));
        let crowd = Shopper::crowd(&self.next_place(), &zipf, 32);
        let during = self.runtime.spawn(closed(crowd, self.time));
        let freed = loop {
            if free(&self.house) >= all {
                break Instant::now().saturating_duration_since(due + Duration::from_secs(1));
            }
            pause(Duration::from_millis(20));
        };
        let during = self.runtime.block_on(during).unwrap();
        let cleaned = loop {
            if self.house.metric("stockhold_reservations_expired_total") - swept >= HOLDS as f64 {
                break due.elapsed();
            }
            pause(Duration::from_millis(200));
        };
        report.expiry(&before, &during, freed, cleaned);
        self.progress.inc(4);
    }

    /// M1: connections that are open and say nothing.
    fn connections(&mut self, report: &mut Report) {
        for many in [1000, 10_000] {
            self.progress.set_message(format!("M1: {many} connections"));
            let at = self.house.at();
            let open = self.runtime.block_on(async {
                let mut open = Vec::new();
                for _ in 0..many {
                    match Connection::open(at).await {
                        Ok(connection) => open.push(connection),
                        Err(_) => break,
                    }
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
                open
            });
            report.memory(&format!("{} open connections", open.len()), self.house.memory());
        }
        self.progress.inc(4);
    }

    pub fn growth(&self) -> &[u64] {
        &self.growth
    }

    pub fn time(&self) -> Duration {
        self.time
    }

    pub fn runs(&self) -> usize {
        self.runs
    }
}

/// The bench's own thread has nothing else to do.
#[allow(clippy::disallowed_methods)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
