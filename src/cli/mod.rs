//! The command line: one file per subcommand.

mod asyncapi;
mod backup;
mod client;
mod database;
mod demo;
mod doctor;
mod keys;
mod openapi;
pub(crate) mod replay;
mod restore;
mod serve;
mod users;

use std::error::Error as StdError;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Flags};
use crate::lifecycle::Shutdown;
use crate::platform::memory;

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
    /// Write everything into one file, while the server works
    Backup(backup::Args),
    /// Load a backup into an empty instance, and prove its books
    Restore(restore::Args),
    /// Fill an empty instance with a small shop to look at
    Demo(demo::Args),
    /// Drive a file of real invoices through the API, as a shop would, and prove that every unit and every penny arrived
    Replay(replay::Args),
    /// Make, list, rotate and revoke API keys
    Keys(keys::Args),
    /// Make, list and disable users, and set their passwords
    Users(users::Args),
    /// Print the OpenAPI document
    Openapi,
    /// Print the AsyncAPI document: the events, and where they can be had
    Asyncapi,
}

type Outcome = Result<ExitCode, Box<dyn StdError>>;

pub fn main() -> ExitCode {
    memory::give_back_large_blocks();
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => serve::run(&cli.flags),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Backup(args)) => backup::run(&args),
        Some(Command::Restore(args)) => restore::run(&args),
        Some(Command::Demo(args)) => client_command(demo::run(args)),
        Some(Command::Replay(args)) => client_command(replay::run(args)),
        Some(Command::Keys(args)) => keys::run(args),
        Some(Command::Users(args)) => users::run(args),
        Some(Command::Openapi) => openapi::run(),
        Some(Command::Asyncapi) => asyncapi::run(),
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

/// Until it is done, or SIGINT or SIGTERM says to stop: what it was at is then given up in order.
async fn unless_stopped<T>(work: impl Future<Output = Result<T, Box<dyn StdError>>>) -> Result<T, Box<dyn StdError>> {
    let shutdown = Shutdown::default();
    tokio::spawn(shutdown.clone().on_signal());
    tokio::select! {
        outcome = work => outcome,
        () = shutdown.started() => Err("stopped before it was done".into()),
    }
}

/// A runtime for the whole command.
fn block_on<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    Ok(outcome)
}
