//! Faults: two real servers on one real Postgres, clients that keep a journal, and things that break.
//!
//! `cargo test --test faults` runs the short form, `cargo test --release --test faults -- --long` the one with
//! the figures of docs/reliability.md. Every scenario ends with the self-check and with the clients' journal held
//! against the server's lists, ledger and feed.

#![cfg(target_os = "linux")] // it kills, mounts and preloads

#[path = "../support/server.rs"]
mod server;
#[path = "../support/stripe.rs"]
mod stripe;

mod audit;
mod client;
mod cutter;
mod disk;
mod journal;
mod linearizability;
mod model;
mod postgres;
mod proxy;
mod race;
mod report;
mod scenarios;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use report::{Report, Result, Verdict};
use scenarios::{ALL, Scenario};

#[derive(Parser)]
#[command(about = "Break things around two servers on one Postgres, and count what is wrong afterwards")]
struct Args {
    /// Only scenarios whose name contains one of these
    names: Vec<String>,
    /// The figures of the issue, instead of a short run of everything
    #[arg(long)]
    long: bool,
    /// Say what there is
    #[arg(long)]
    list: bool,
    /// Repeat the choices of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Write the results to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// For `cargo test -- --nocapture`: nothing is captured here
    #[arg(long, hide = true)]
    nocapture: bool,
}

/// What a scenario is told.
#[derive(Clone, Copy)]
pub struct Run {
    pub long: bool,
    pub seed: u64,
}

impl Run {
    /// How much of something there is, in the long and in the short form.
    pub fn scaled<T>(self, long: T, short: T) -> T {
        if self.long { long } else { short }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen: Vec<&Scenario> = ALL
        .iter()
        .filter(|it| args.names.is_empty() || args.names.iter().any(|name| it.name.contains(name.as_str())))
        .collect();
    if args.list {
        chosen.iter().for_each(|it| println!("{:18} {}", it.name, it.about));
        return ExitCode::SUCCESS;
    }
    let run = Run { long: args.long, seed: args.seed.unwrap_or_else(rand::random) };
    match perform(&chosen, run, args.json.as_deref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs them one after the other; true when all bars are met.
fn perform(chosen: &[&Scenario], run: Run, json: Option<&std::path::Path>) -> Result<bool> {
    let mut report = Report::new(run);
    for scenario in chosen {
        println!("\n{}: {} (seed {})", scenario.name, scenario.about, run.seed);
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // Interrupted, it clears up all the same: what is dropped ends its processes and unmounts its disk.
        let verdict = runtime.block_on(async {
            tokio::select! {
                verdict = (scenario.play)(run) => Ok(verdict.unwrap_or_else(Verdict::broken)),
                _ = tokio::signal::ctrl_c() => Err("interrupted"),
            }
        })?;
        runtime.shutdown_background();
        verdict.print(begun.elapsed());
        report.add(scenario.name, verdict, begun.elapsed());
    }
    if let Some(file) = json {
        report.write(file)?;
    }
    println!("\n{}", report.summary());
    Ok(report.passed())
}
