//! The bench: the release server, its Postgres and this client on one machine, against what Postgres does with
//! hand-written statements in the same minute.
//!
//!     benches/run                    all of it, into docs/performance/
//!     benches/run --only R1,A1      some scenarios
//!     benches/run --quick           one short run of each, for a first look
//!
//! Figures of one machine mean little; the ratios to the limits of the same run are what counts.

#![allow(clippy::unwrap_used)] // what cannot go on should stop there and say where

mod client;
mod growth;
mod house;
mod limits;
mod measure;
mod profile;
mod report;
mod scenarios;
#[path = "../../tests/support/server.rs"]
mod server;
mod shop;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::house::House;
use crate::report::Report;
use crate::scenarios::Bench;

/// Measure the server against hand-written SQL
#[derive(Debug, Parser)]
#[command(name = "load")]
pub struct Args {
    /// Only these scenarios and limits (R1, R2, R3, R4, O1, O2, A1, A2, E1, G1, M1, S1, OPEN, PROFILE)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Numbers of clients
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,64,256")]
    connections: Vec<usize>,
    /// Seconds of one run
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Runs of each, alternating with the limits
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// One short run of each, with 1, 8 and 64 clients
    #[arg(long)]
    quick: bool,
    /// How far the shop grows in G1: products, rows of the ledger, ended reservations
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000,10000000")]
    growth: Vec<u64>,
    /// Another server to measure
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// Where results.json, table.md and the plots go
    #[arg(long, value_name = "DIR", default_value = "docs/performance")]
    out: PathBuf,
    #[arg(long, hide = true)]
    bare: Option<String>,
    /// `cargo bench` gives it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let mut args = Args::parse();
    if let Some(file) = &args.bare {
        return limits::Bare::serve(file);
    }
    if args.quick {
        (args.connections, args.runs, args.seconds) = (vec![1, 8, 64], 1, 3);
    }
    let program = args.server.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_stockhold").into());
    let (house, cold) = House::open(program);
    let mut bench = Bench::new(&args, house);
    let steps = bench.steps();
    let rough = Duration::from_secs(steps * (args.seconds + 1) + 60);
    eprintln!("{steps} runs of {} s: about {} minutes", args.seconds, rough.as_secs() / 60 + 1);
    bench.progress = progress(steps);
    let mut report = Report::new(&args);
    // pgbench comes beside the server's own connections.
    bench.house.psql("postgres", &["-c", "ALTER SYSTEM SET max_connections = 120"]);
    report.start_up(cold, bench.house.restart());
    bench.run(&mut report);
    bench.progress.finish_and_clear();
    // First where nothing can fail: what was measured for so long is not to be lost to a full disk.
    println!("{}", report.table());
    report.write(&args.out);
}

fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} [{elapsed_precise}, {eta} left]");
    ProgressBar::new(steps).with_style(style.expect("a template of ours"))
}
