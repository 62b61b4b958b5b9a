//! The database that a command works on: the one in the settings, or a private one that is started for it.

use std::error::Error as StdError;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::config::Config;
use crate::platform::db::private::{Connection, Options, PrivatePostgres};
use crate::platform::db::{Application, Db};

/// How long to wait for a database that is not up yet.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long connections may take to end what they are at.
const CLOSING: Duration = Duration::from_secs(5);

pub struct Database {
    pub db: Db,
    /// How the application is to be told from the owner
    application: Application,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Connects as the application, with the schema brought up to date.
    pub async fn open(config: &Config) -> Result<Self, Box<dyn StdError>> {
        Self::connect(config).await?.for_application(config).await
    }

    /// The same for a command that may run beside the server: it uses the private Postgres that the
    /// server runs, if one does.
    pub async fn open_beside_server(config: &Config) -> Result<Self, Box<dyn StdError>> {
        Self::connect_beside_server(config).await?.for_application(config).await
    }

    /// Connects as the owner, and leaves the schema as it is.
    pub async fn connect(config: &Config) -> Result<Self, Box<dyn StdError>> {
        match &config.database_url {
            Some(url) => Self::ready(config, PgConnectOptions::from_str(url)?, Application::TakeOn, None).await,
            None => {
                let private = PrivatePostgres::start(private_options(config)).await?;
                let connection = private.connection();
                Self::ready(config, options_of(&connection), login_beside(&connection), Some(private)).await
            }
        }
    }

    /// The same beside a server.
    pub async fn connect_beside_server(config: &Config) -> Result<Self, Box<dyn StdError>> {
        if config.database_url.is_none()
            && let Some(running) = Connection::to_running(&config.data_dir)?
        {
            let options = options_of(&running);
            let probe = Db::new(options.clone(), 2);
            let answers = probe.ping().await.is_ok();
            probe.close().await;
            if answers {
                return Self::ready(config, options, login_beside(&running), None).await;
            }
        }
        Self::connect(config).await
    }

    async fn ready(
        config: &Config,
        options: PgConnectOptions,
        application: Application,
        private: Option<PrivatePostgres>,
    ) -> Result<Self, Box<dyn StdError>> {
        let db = Db::new(options, config.database_connections);
        db.wait_ready(PATIENCE).await?;
        Ok(Self { db, application, private })
    }

    async fn for_application(self, config: &Config) -> Result<Self, Box<dyn StdError>> {
        self.db.migrate().await?;
        let db = self.db.for_application(self.application.clone(), config.database_connections).await?;
        self.db.close().await;
        Ok(Self { db, ..self })
    }

    pub async fn close(self) {
        // What is in the middle of something, because it was told to stop, is cut off.
        let _ = tokio::time::timeout(CLOSING, self.db.close()).await;
        if let Some(private) = self.private {
            private.stop().await;
        }
    }
}

/// The private Postgres takes passwords, and has nobody else's roles.
fn login_beside(owner: &Connection) -> Application {
    Application::with_login(&owner.password)
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
    // A second server may share it, and commands work beside them.
    options.max_connections = 2 * config.database_connections + 10;
    options
}
