//! `stockhold openapi`

use std::process::ExitCode;

use sqlx::postgres::PgConnectOptions;

use super::{Outcome, block_on};
use crate::app::App;
use crate::platform::db::Db;

pub fn run() -> Outcome {
    // The document follows from the code alone; the database is never asked.
    let document = block_on(async { App::new(Db::new(PgConnectOptions::new(), 2)).document() })?;
    println!("{}", document.to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
