//! The database that a command works on: the one in the settings, or a private one that is started for it.

use std::error::Error as StdError;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::config::Config;
use crate::platform::db::Db;
use crate::platform::db::private::{Connection, Options, PrivatePostgres};

/// How long to wait for a database that is not up yet.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Database {
    pub db: Db,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Connects, and brings the schema up to date.
    pub async fn open(config: &Config) -> Result<Self, Box<dyn StdError>> {
        let (options, private) = match &config.database_url {
            Some(url) => (PgConnectOptions::from_str(url)?, None),
            None => {
                let private = PrivatePostgres::start(private_options(config)).await?;
                (options_of(&private.connection()), Some(private))
            }
        };
        Self::ready(config, options, private).await
    }

    /// The same for a command that may run beside the server: it uses the private Postgres that the
    /// server runs, if one does.
    pub async fn open_beside_server(config: &Config) -> Result<Self, Box<dyn StdError>> {
        if config.database_url.is_none()
            && let Some(running) = Connection::to_running(&config.data_dir)?
        {
            let options = options_of(&running);
            let probe = Db::new(options.clone(), 2);
            let answers = probe.ping().await.is_ok();
            probe.close().await;
            if answers {
                return Self::ready(config, options, None).await;
            }
        }
        Self::open(config).await
    }

    async fn ready(
        config: &Config,
        options: PgConnectOptions,
        private: Option<PrivatePostgres>,
    ) -> Result<Self, Box<dyn StdError>> {
        let db = Db::new(options, config.database_connections);
        db.wait_ready(PATIENCE).await?;
        db.migrate().await?;
        Ok(Self { db, private })
    }

    pub async fn close(self) {
        self.db.close().await;
        if let Some(private) = self.private {
            private.stop().await;
        }
    }
}

fn options_of(connection: &Connection) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&connection.socket_dir)
        .port(connection.port)
        .username(&connection.user)
        .password(&connection.password)
        .database(&connection.database)
}

fn private_options(config: &Config) -> Options {
    let mut options = Options::from_env(&config.data_dir);
    options.bin_dir.clone_from(&config.postgres_bin_dir);
    options.install = config.install_postgres;
    options.max_connections = config.database_connections + 10;
    options
}
