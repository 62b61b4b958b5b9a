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
    /// For transactions that change something: they may wait for each other.
    writes: PgPool,
    /// For the rest, so that a crowd at one product keeps nobody from reading another.
    reads: PgPool,
}

impl Db {
    /// A pool that connects when first used. Every session carries limits, so that nothing of ours
    /// can hold locks for ever.
    pub fn new(options: PgConnectOptions, max_connections: u32) -> Self {
        let options = options.application_name("stockhold").options([
            ("statement_timeout", "30s"),
            ("lock_timeout", "3s"),
            ("idle_in_transaction_session_timeout", "60s"),
        ]);
        let pool = |size| {
            let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_TIMEOUT);
            pool.connect_lazy_with(options.clone())
        };
        let reads = (max_connections / 4).max(1);
        Self { writes: pool((max_connections - reads).max(1)), reads: pool(reads) }
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
        MIGRATIONS.run(&self.writes).await
    }

    /// A connection to read with.
    pub async fn conn(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.reads.acquire().await
    }

    /// READ COMMITTED, as Postgres does by default: rows are guarded by locks and constraints.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.writes.begin().await
    }

    pub async fn ping(&self) -> sqlx::Result<()> {
        use sqlx::Connection;
        self.conn().await?.ping().await
    }

    /// A transaction in which every statement sees the same moment, and nothing can be written.
    pub async fn snapshot(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.reads.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// The same with time to read all there is.
    pub async fn long_snapshot(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let mut tx = self.snapshot().await?;
        sqlx::query("SET LOCAL statement_timeout = '10min'").execute(&mut *tx).await?;
        Ok(tx)
    }

    pub async fn close(&self) {
        self.writes.close().await;
        self.reads.close().await;
    }

    /// Connections open, and how many of them are idle.
    pub fn connections(&self) -> (u32, usize) {
        (self.writes.size() + self.reads.size(), self.writes.num_idle() + self.reads.num_idle())
    }
}

/// A wrong password or database name does not get better by waiting.
fn is_final(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code.starts_with("28") || code == "3D000")
}
