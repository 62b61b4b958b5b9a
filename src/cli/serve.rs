//! `stockhold serve`, the default

use std::process::ExitCode;

use tokio::net::TcpListener;

use super::database::Database;
use super::{Outcome, block_on, load};
use crate::app::App;
use crate::config::{Config, Flags};
use crate::lifecycle::Shutdown;
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
    let listener = TcpListener::bind(&config.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}; choose another address with --listen", config.listen)
    })?;
    tokio::spawn(shutdown.clone().on_signal());
    let database = tokio::select! {
        opened = Database::open(&config) => opened?,
        () = shutdown.started() => return Ok(ExitCode::SUCCESS),
    };
    let app = App::new(database.db.clone());
    let made = app.access.bootstrap(config.admin_key.as_deref()).await?;
    let address = listener.local_addr()?;
    if let Some(key) = made {
        // To standard output and not to the log: logs are kept and passed around.
        println!("{}", welcome(&address.to_string(), &key));
    }
    tracing::info!("listening on http://{address} (Swagger UI: http://{address}/docs/)");
    let served = app.serve(listener, &config, shutdown).await;
    database.close().await;
    served?;
    Ok(ExitCode::SUCCESS)
}

fn welcome(address: &str, key: &str) -> String {
    format!(
        "\nstockhold is ready.\n\n  API         http://{address}/v1\n  Swagger UI  http://{address}/docs/\n  \
         Admin key   {key}\n\nThe key is shown this once: keep it. Try it:\n\n  \
         curl -H 'Authorization: Bearer {key}' http://{address}/v1/warehouses\n"
    )
}
