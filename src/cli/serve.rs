//! `stockhold serve`, the default

use std::error::Error as StdError;
use std::process::ExitCode;

use super::database::Database;
use super::{Outcome, block_on, load};
use crate::app::App;
use crate::config::{Config, Flags};
use crate::lifecycle::Shutdown;
use crate::platform::server;
use crate::telemetry;

pub fn run(flags: &Flags) -> Outcome {
    let config = load(flags)?;
    telemetry::init_logs(&config.log, config.log_format);
    telemetry::metrics();
    block_on(serve(config))?
}

async fn serve(config: Config) -> Outcome {
    let shutdown = Shutdown::default();
    // The address first: a port that is taken should not cost the start of a database.
    let listener = server::listen(&config.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}; choose another address with --listen", config.listen)
    })?;
    tokio::spawn(shutdown.clone().on_signal());
    let database = tokio::select! {
        opened = Database::open(&config) => opened?,
        () = shutdown.started() => return Ok(ExitCode::SUCCESS),
    };
    if let Err(refusal) = check_durability(&config, &database).await {
        database.close().await;
        return Err(refusal);
    }
    let app = App::configured(database.db.clone(), &config);
    let made = app.access.bootstrap(config.admin_key.as_deref()).await?;
    let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    if let Some(key) = made {
        // To standard output and not to the log: logs are kept and passed around.
        println!("{}", welcome(&url, &key));
    }
    tracing::info!("listening on {url} (Swagger UI: {url}/docs/)");
    let served = app.serve(listener, &config, shutdown).await;
    database.close().await;
    served?;
    Ok(ExitCode::SUCCESS)
}

/// Everything here rests on a commit being on disk when it is answered.
async fn check_durability(config: &Config, database: &Database) -> Result<(), Box<dyn StdError>> {
    let off = database.db.unsafe_settings().await?.join(", ");
    match off.as_str() {
        "" => Ok(()),
        off if config.allow_unsafe_database => {
            tracing::error!(off, "THE DATABASE IS NOT DURABLE: when it fails, acknowledged reservations and orders are lost");
            Ok(())
        }
        off => Err(format!(
            "the database has {off} off: when it fails, reservations and orders that were acknowledged would be lost. \
             Switch it on (ALTER SYSTEM SET … = on, then SELECT pg_reload_conf(); perhaps it was set for the role or the \
             database), or accept the loss with --allow-unsafe-database"
        )
        .into()),
    }
}

fn welcome(url: &str, key: &str) -> String {
    format!(
        "\nstockhold is ready.\n\n  API         {url}/v1\n  Swagger UI  {url}/docs/\n  \
         Admin key   {key}\n\nThe key is shown this once: keep it. Try it:\n\n  \
         curl -H 'Authorization: Bearer {key}' {url}/v1/warehouses\n"
    )
}
