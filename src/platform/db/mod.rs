//! The connection pool and the schema's migrations.

pub mod private;

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Postgres, Transaction};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long a request waits for a connection before it answers 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Db {
    pool: PgPool,
}

impl Db {
    /// A pool that connects when first used. Every session carries limits, so that nothing of ours
    /// can hold locks for ever.
    pub fn new(options: PgConnectOptions, max_connections: u32) -> Self {
        let options = options.application_name("stockhold").options([
            ("statement_timeout", "30s"),
            ("lock_timeout", "20s"),
            ("idle_in_transaction_session_timeout", "60s"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Self { pool }
    }

    /// Waits until the database answers, up to `patience`.
    pub async fn wait_ready(&self, patience: Duration) -> sqlx::Result<()> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            match self.conn().await {
                Ok(_) => return Ok(()),
                Err(error) if tokio::time::Instant::now() >= deadline || is_final(&error) => return Err(error),
                Err(error) => tracing::warn!(%error, "waiting for the database"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Brings the schema up to date. Several servers may do so at once: an advisory lock lets one at a time.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        MIGRATIONS.run(&self.pool).await
    }

    pub async fn conn(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.pool.acquire().await
    }

    /// READ COMMITTED, as Postgres does by default: rows are guarded by locks and constraints.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.pool.begin().await
    }

    pub async fn ping(&self) -> sqlx::Result<()> {
        use sqlx::Connection;
        self.conn().await?.ping().await
    }

    /// A transaction in which every statement sees the same moment, and nothing can be written.
    pub async fn snapshot(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let mut tx = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        // Whoever wants one moment wants to read much of it.
        sqlx::query("SET LOCAL statement_timeout = '10min'").execute(&mut *tx).await?;
        Ok(tx)
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Connections open, and how many of them are idle.
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }
}

/// A wrong password or database name does not get better by waiting.
fn is_final(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code.starts_with("28") || code == "3D000")
}
