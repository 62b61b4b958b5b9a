//! `stockhold doctor`

use std::process::ExitCode;

use super::database::Database;
use super::{Outcome, block_on, load};
use crate::app::App;
use crate::config::Flags;
use crate::ops::self_check;
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
        let outcome = examine(&App::new(database.db.clone()), args).await;
        database.close().await;
        outcome
    })?
}

async fn examine(app: &App, args: &Args) -> Outcome {
    if args.repair {
        let mut tx = app.db.begin().await?;
        let done = app.inventory.repair_in_tx(&mut tx).await?;
        tx.commit().await?;
        for line in &done {
            eprintln!("repaired {line}");
        }
    }
    let report = self_check::run(app).await.map_err(|problem| problem.document(None).to_string())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{} differences", report.differences.len());
        for d in &report.differences {
            println!("  {}: {}: expected {}, found {}", d.check, d.subject, d.expected, d.found);
        }
        if !report.ok && !args.repair {
            println!("`stockhold doctor --repair` books corrections; read them first.");
        }
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
