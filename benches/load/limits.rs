//! The limits: what Postgres does with hand-written statements, by pgbench, and what a bare handler does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::house::House;
use crate::measure::Figures;

/// A script of `benches/limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// L1, L2: update, reservation and outbox in one statement
    OneStatement { products: u32 },
    /// L3: the same as a transaction of three statements
    Transaction { products: u32 },
    /// L4: a row
    Read,
    /// L6: fifty of L1 at once
    Fifty { products: u32 },
}

impl Limit {
    /// How many reservations a run of its script makes.
    const fn at_once(self) -> u32 {
        if matches!(self, Self::Fifty { .. }) { 50 } else { 1 }
    }
}

/// Where the scripts are.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/limits")
}

/// Makes their tables, in a database of their own in the server's Postgres.
pub fn prepare(house: &House) {
    house.psql("postgres", &["-c", "CREATE DATABASE limits"]);
    let schema = scripts().join("schema.sql");
    house.psql("limits", &["-f", schema.to_str().expect("a path of ours")]);
}

pub fn run(house: &House, limit: Limit, connections: usize, time: Duration) -> Figures {
    let (script, products) = match limit {
        Limit::OneStatement { products } => ("one-statement.sql", products),
        Limit::Transaction { products } => ("transaction.sql", products),
        Limit::Read => ("read.sql", 10_000),
        Limit::Fifty { products } => ("fifty.sql", products),
    };
    let logs = tempfile::tempdir().expect("a temporary directory");
    let mut pgbench = house.postgres_program("pgbench");
    pgbench.args(["--no-vacuum", "--protocol=prepared", "--jobs=1", "--log", "--random-seed=7"]);
    pgbench.arg(format!("--log-prefix={}", logs.path().join("log").display()));
    pgbench.arg(format!("--client={connections}")).arg(format!("--time={}", time.as_secs().max(1)));
    pgbench.arg(format!("--define=products={products}")).arg(format!("--file={}", scripts().join(script).display()));
    let output = pgbench.arg("limits").output().expect("pgbench stands beside initdb");
    assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse::<f64>().ok());
    let mut latencies = Figures::recorder();
    for file in std::fs::read_dir(logs.path()).expect("made above").flatten() {
        for line in std::fs::read_to_string(file.path()).unwrap_or_default().lines() {
            // client, transaction, microseconds, …
            if let Some(micros) = line.split(' ').nth(2).and_then(|micros| micros.parse::<u64>().ok()) {
                latencies.saturating_record(micros.max(1));
            }
        }
    }
    Figures::of(rate.expect("pgbench tells its rate") * f64::from(limit.at_once()), &latencies, 0)
}

/// L5: a handler that answers the same bytes, and does nothing else.
pub struct Bare {
    child: Child,
    pub at: SocketAddr,
}

impl Bare {
    pub fn start(answer: &[u8]) -> Self {
        use std::io::{BufRead, BufReader};
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), answer).expect("it is ours");
        let program = std::env::current_exe().expect("this program has a path");
        let child = Command::new(program).arg("--bare").arg(file.path()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("it starts once more");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        Self { child, at: line.trim().parse().expect("an address") }
    }

    /// What the child does.
    pub fn serve(file: &str) {
        let answer = std::fs::read(file).expect("the parent wrote it");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            println!("{}", listener.local_addr().expect("it listens"));
            let answer = axum::body::Bytes::from(answer);
            let json = [("content-type", "application/json")];
            let handler = axum::routing::get(move || std::future::ready((json, answer.clone())));
            let router = axum::Router::new().route("/v1/stock/{sku}", handler);
            axum::serve(listener, router).await.expect("it serves until it is killed");
        });
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
