//! The command line: one file per subcommand.

mod client;
mod database;
mod demo;
mod doctor;
mod openapi;
mod replay;
mod serve;

use std::error::Error as StdError;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Flags};

#[derive(Parser)]
#[command(name = "stockhold", version, about, propagate_version = true)]
#[command(long_about = "Inventory, warehouses, reservations and orders in one binary.\n\n\
    Without a subcommand it serves. Settings come from flags, then STOCKHOLD_* variables (--data-dir is \
    STOCKHOLD_DATA_DIR), then config/*.toml.")]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API (the default)
    Serve(Flags),
    /// Prove the books: recompute every level from the ledger, the holds and the allocations
    Doctor(doctor::Args),
    /// Fill an empty instance with a small shop to look at
    Demo(demo::Args),
    /// Drive a file of real invoices through the API, as a shop would, and prove that every unit arrived
    Replay(replay::Args),
    /// Print the OpenAPI document
    Openapi,
}

type Outcome = Result<ExitCode, Box<dyn StdError>>;

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => serve::run(&cli.flags),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Demo(args)) => client_command(demo::run(args)),
        Some(Command::Replay(args)) => client_command(replay::run(args)),
        Some(Command::Openapi) => openapi::run(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("stockhold: {}", with_causes(error.as_ref()));
        ExitCode::FAILURE
    })
}

/// An error and what caused it, on one line.
fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let detail = error.to_string();
        if !text.contains(&detail) {
            text = format!("{text}: {detail}");
        }
        cause = error.source();
    }
    text
}

fn load(flags: &Flags) -> Result<Config, Box<dyn StdError>> {
    Ok(Config::load(flags)?)
}

/// Runs a command that talks to a server over HTTP.
fn client_command<E: StdError + 'static>(work: impl Future<Output = Result<ExitCode, E>>) -> Outcome {
    Ok(block_on(work)??)
}

/// A runtime for the whole command.
fn block_on<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    Ok(outcome)
}
