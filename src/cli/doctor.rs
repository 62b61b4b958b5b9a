//! `stockhold doctor`

use std::process::ExitCode;

use super::database::Database;
use super::{Outcome, block_on, load};
use crate::app::App;
use crate::config::Flags;
use crate::ops::{Report, SelfCheck};
use crate::platform::problem::Problem;
use crate::telemetry;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Book what is missing in the ledger as movements with the reason "repair", set counters to what their
    /// records say, and list everything that was done
    #[arg(long)]
    repair: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let config = load(&args.flags)?;
    telemetry::init_logs(if config.log == "info" { "warn" } else { &config.log }, config.log_format);
    block_on(async {
        let database = Database::open_beside_server(&config).await?;
        let outcome = examine(&App::new(database.db.clone()).self_check(), args).await;
        database.close().await;
        outcome
    })?
}

/// A problem, for whoever reads a terminal.
pub(super) fn readable(problem: Problem) -> String {
    problem.log();
    problem.document(None)["detail"].to_string()
}

async fn examine(self_check: &SelfCheck, args: &Args) -> Outcome {
    if args.repair {
        for line in self_check.repair().await.map_err(readable)? {
            eprintln!("repaired {line}");
        }
    }
    let report = self_check.run().await.map_err(readable)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
        if !report.ok && !args.repair {
            println!("`stockhold doctor --repair` books corrections; read them first.");
        }
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the self-check found, for whoever reads a terminal.
pub(super) fn print(report: &Report) {
    println!("{} differences", report.differences.len());
    for d in &report.differences {
        println!("  {}: {}: expected {}, found {}", d.check, d.subject, d.expected, d.found);
    }
}
