//! `stockhold restore`

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

use super::database::Database;
use super::doctor::{print, readable};
use super::{Outcome, backup as file, block_on, load, unless_stopped};
use crate::app::App;
use crate::config::{Config, Flags};
use crate::ops::Report;
use crate::platform::audit::{self, Actor, Entry};
use crate::platform::db::backup::{self, Header, Intact};
use crate::telemetry;

/// Load a backup into an empty instance, and prove its books
///
/// The whole file is checked before anything is touched, and all is loaded in one transaction: a
/// restore that is refused or cut off leaves the instance as empty as it was. One made by an older
/// version is brought up to date.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
    /// The backup
    file: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let begun = Instant::now();
    let config = load(&args.flags)?;
    telemetry::init_logs(if config.log == "info" { "warn" } else { &config.log }, config.log_format);
    let intact = file::verify(&args.file)?;
    backup::check_known(&intact)?;
    let report = block_on(restore(&config, &args.file, &intact))??;
    let Intact { header, totals, .. } = &intact;
    if args.json {
        let (seconds, taken_at) = (begun.elapsed().as_secs_f64(), &header.taken_at);
        let summary = json!({ "taken_at": taken_at, "totals": totals, "seconds": seconds, "self_check": report });
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "restored {} rows of {} tables as of {} in {seconds:.1} s; keys are those of the backup",
            totals.rows, totals.tables, header.taken_at
        );
        print(&report);
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn restore(config: &Config, path: &Path, intact: &Intact) -> Result<Report, Box<dyn StdError>> {
    // Not beside a server: the private Postgres of one that runs is refused, being locked.
    let database = Database::connect(config).await?;
    let outcome = unless_stopped(load_and_check(&App::new(database.db.clone()), path, intact)).await;
    database.close().await;
    outcome
}

async fn load_and_check(app: &App, path: &Path, intact: &Intact) -> Result<Report, Box<dyn StdError>> {
    let (from, bar) = file::open(path, "restoring")?;
    let mut tx = app.db.begin().await?;
    backup::load_in_tx(&mut tx, from, intact, |bytes| bar.set_position(bytes)).await?;
    let Header { taken_at, feed_position, .. } = &intact.header;
    app.events.resume_in_tx(&mut tx, taken_at, *feed_position).await?;
    let entry = Entry::new(Actor::CommandLine, "stockhold restore").is(&json!({"taken_at": intact.header.taken_at}));
    audit::record_in_tx(&mut tx, &entry).await?;
    tx.commit().await?;
    bar.finish_and_clear();
    app.self_check().run().await.map_err(|problem| {
        let why = readable(problem);
        format!("the backup is restored, but its books could not be checked ({why}): run `stockhold doctor`").into()
    })
}
