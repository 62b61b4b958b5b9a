//! `stockhold keys`: works on the database itself, so it helps where no key is at hand.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use uuid::Uuid;

use super::database::Database;
use super::{Outcome, block_on, load};
use crate::access::{Access, IssuedKey, Key, KeyStatus, NewKey, Rotation, Scope};
use crate::app::App;
use crate::config::Flags;
use crate::platform::clock::Timestamp;
use crate::platform::page::PageRequest;
use crate::telemetry;

/// Whom the list names as the maker of a key.
const ACTOR: &str = "command line";

#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key and print it, this once
    Create {
        /// Who uses it, for what
        name: String,
        /// What it may do, such as stock:read; repeat it for more [possible values: catalog, stock, reservations, orders,
        /// warehouse_ops, purchasing, reports, events and admin, each :read or :write]
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        /// Keep it to this warehouse; repeat it for more
        #[arg(long = "warehouse", value_name = "CODE")]
        warehouses: Vec<String>,
        /// Keep it to this channel; repeat it for more
        #[arg(long = "channel", value_name = "CODE")]
        channels: Vec<String>,
        /// Let it expire after this time, such as 90d or 12h [default: never]
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
    },
    /// List the keys, without their secrets
    List {
        /// Those that are revoked or have expired as well
        #[arg(long)]
        all: bool,
    },
    /// Give a key a new secret and print it, this once
    Rotate {
        id: Uuid,
        /// How long the old secret opens as well, such as 1h
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = humantime::parse_duration)]
        overlap: Duration,
    },
    /// End a key for good, on every server within a second
    Revoke { id: Uuid },
}

pub fn run(args: Args) -> Outcome {
    let config = load(&args.flags)?;
    telemetry::init_logs(if config.log == "info" { "warn" } else { &config.log }, config.log_format);
    block_on(async {
        let database = Database::open_beside_server(&config).await?;
        let outcome = execute(&database, args).await;
        database.close().await;
        outcome
    })?
}

async fn execute(database: &Database, args: Args) -> Outcome {
    let access = App::new(database.db.clone()).access;
    match args.command {
        Command::Create { name, scopes, warehouses, channels, expires_in } => {
            let expires_at = expires_in.map(|time| Timestamp::now().plus_seconds(seconds(time)));
            let some = |codes: Vec<String>| (!codes.is_empty()).then_some(codes);
            let key = NewKey { name, scopes, warehouses: some(warehouses), channels: some(channels), expires_at };
            let issued = access.create(&key, ACTOR).await?;
            show(&issued, args.json)?;
        }
        Command::Rotate { id, overlap } => {
            let issued = access.rotate(id, &Rotation { overlap_seconds: seconds(overlap) }).await?;
            show(&issued, args.json)?;
        }
        Command::Revoke { id } => {
            let key = access.revoke(id).await?;
            if args.json {
                println!("{}", serde_json::to_string_pretty(&key)?);
            } else {
                println!("{} ({}) is revoked.", key.name, key.id);
            }
        }
        Command::List { all } => list(&access, all, args.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn show(issued: &IssuedKey, json: bool) -> serde_json::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(issued)?);
    } else {
        // The key alone goes to standard output, so that a script can take it.
        eprintln!("{} ({}). The key is shown this once:", issued.fields.name, issued.fields.id);
        println!("{}", issued.key.as_deref().unwrap_or_default());
    }
    Ok(())
}

async fn list(access: &Access, all: bool, json: bool) -> Result<(), Box<dyn std::error::Error>> {
    let status = if all { None } else { Some(KeyStatus::Active) };
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = access.list(PageRequest { limit: 200, after }, status).await?;
        after = page.items.last().map(|key| key.id);
        keys.extend(page.items);
        if page.next_cursor.is_none() {
            break;
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&keys)?);
    } else {
        keys.iter().for_each(|key| println!("{}", line(key)));
    }
    Ok(())
}

fn line(key: &Key) -> String {
    let scopes = key.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let time = |time: Option<Timestamp>| time.map_or("never".to_owned(), |time| time.to_string());
    let only = |what: &str, codes: &Option<Vec<String>>| {
        codes.as_ref().map_or(String::new(), |codes| format!("  {what} {}", codes.join(" ")))
    };
    let limits = only("warehouses", &key.warehouses) + &only("channels", &key.channels);
    let id = key.public_id.as_ref().map_or("brought along".to_owned(), |id| format!("sh_{id}_…"));
    format!(
        "{}  {id}  {}  {:?}\n    {scopes}{limits}\n    made by {} at {}, last used {}, expires {}",
        key.id,
        key.name,
        key.status,
        key.created_by,
        key.created_at,
        time(key.last_used_at),
        time(key.expires_at)
    )
}
