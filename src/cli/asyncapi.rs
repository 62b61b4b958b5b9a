//! `stockhold asyncapi`

use std::process::ExitCode;

use sqlx::postgres::PgConnectOptions;

use super::{Outcome, block_on};
use crate::app::App;
use crate::platform::db::Db;

pub fn run() -> Outcome {
    // Like the OpenAPI document, it follows from the code alone.
    let document = block_on(async { App::new(Db::new(PgConnectOptions::new(), 2)).events_document() })?;
    println!("{}", serde_json::to_string_pretty(&document)?);
    Ok(ExitCode::SUCCESS)
}
