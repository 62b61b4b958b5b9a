//! The connection pool and the schema's migrations.

pub mod backup;
mod health;
pub mod json;
mod lender;
mod parts;
pub mod private;
mod reads;
mod role;
pub mod text;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, Transaction};

use health::Health;
pub use lender::Tx;
use lender::{Lender, Lent};
pub(crate) use reads::add_read;
pub use reads::{Answers, Asked, Fields, Reads};
pub use role::Application;
pub use writes::Writes;
pub(crate) use writes::add_write;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long a request waits for a connection before it answers 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool asks a connection whether it still lives before it hands it out only when it has not been used for so long.
/// One that died meanwhile is found out by `BEGIN` ([`Db::begin`]) or by what is looked up with it ([`Db::look_up`]), and
/// another does as well. Lists have no second try: theirs are asked each time.
const RESTED: Duration = Duration::from_secs(1);

/// Cheap to clone: every request carries a few of them.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    /// For transactions that change something: they may wait for each other.
    writes: Lender,
    /// For the rest, so that a crowd at one product keeps nobody from reading another.
    reads: PgPool,
    /// For what many read at once by its keys, which a long list should not hold up.
    lookups: Lender,
    health: Health,
    /// As the pools connect to read.
    options: PgConnectOptions,
    /// Who the tables belong to; not who works with them (see [`Db::for_application`]).
    owner: PgConnectOptions,
}

impl Db {
    /// Pools that connect when first used, as the owner of the tables.
    pub fn new(owner: PgConnectOptions, max_connections: u32) -> Self {
        Self::connecting_as(&Application::Owner, owner, max_connections)
    }

    /// The same as the application, whose role is there already ([`Self::for_application`] sees to that).
    pub fn connecting_as(application: &Application, owner: PgConnectOptions, max_connections: u32) -> Self {
        let options = limited(application.connect_as(owner.clone()));
        let pool = |size| PgPoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_TIMEOUT);
        let busy_pool = |size| {
            pool(size).test_before_acquire(false).before_acquire(|conn, known| {
                Box::pin(async move { Ok(known.idle_for < RESTED || conn.ping().await.is_ok()) })
            })
        };
        let reads = (max_connections / 4).max(1);
        let lookups = (max_connections / 8).max(1);
        // Statements that write find their rows by keys: one plan does for all, and it takes less time than to plan anew
        // for each. A plan that is made while a table is small would go through all of it, and be kept while it grows; so
        // each goes by an index from the start (and where there is none, its cost is not taken for a reason to compile it).
        // Lists have filters that may be absent, and are better planned for those that are there.
        let by_keys = [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off")];
        let planned_once = options.clone().options(by_keys);
        let writes = busy_pool(max_connections.saturating_sub(reads + lookups).max(1));
        let lender = |pool: PgPoolOptions| Lender::new(pool.connect_lazy_with(planned_once.clone()));
        let (writes, lookups) = (lender(writes), lender(busy_pool(lookups)));
        let reads = pool(reads).connect_lazy_with(options.clone());
        Self(Arc::new(Inner { writes, reads, lookups, health: Health::new(options.clone()), options, owner }))
    }

    /// Pools for the application, once the schema is up to date: of its own role, where the database lets us make it.
    pub async fn for_application(&self, wanted: Application, max_connections: u32) -> sqlx::Result<Self> {
        let mut owner = self.owner_conn().await?;
        let application = role::establish(&mut owner, wanted).await?;
        owner.close().await?;
        Ok(Self::connecting_as(&application, self.0.owner.clone(), max_connections))
    }

    /// A connection of the owner, for what the application may not do.
    pub async fn owner_conn(&self) -> sqlx::Result<PgConnection> {
        limited(self.0.owner.clone()).connect().await
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
        MIGRATIONS.run(self.0.writes.pool()).await
    }

    /// The settings, as our sessions have them, with which Postgres may lose what it has acknowledged.
    pub async fn unsafe_settings(&self) -> sqlx::Result<Vec<String>> {
        let sql = "SELECT name FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS name
                   WHERE current_setting(name) = 'off' ORDER BY name";
        sqlx::query_scalar(sql).fetch_all(&mut *self.conn().await?).await
    }

    /// A connection to read with.
    pub async fn conn(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        let pool = self.0.reads.clone();
        self.undisturbed(async move { pool.acquire().await }.boxed()).await
    }

    /// Reads by statements that find their rows by keys whatever their parameters, and are planned once. Reads again
    /// when the connection is lost: there may be as many that died as there are.
    pub async fn look_up<T, F>(&self, read: F) -> sqlx::Result<T>
    where
        F: for<'a> Fn(&'a mut PgConnection) -> BoxFuture<'a, sqlx::Result<T>>,
    {
        let mut patience = self.0.lookups.pool().size();
        loop {
            let mut lent = self.lend(&self.0.lookups).await?;
            match read(&mut lent).await {
                Err(error) if is_lost(&error) && patience > 0 => tracing::info!(%error, "a connection had ended"),
                Err(error) => return Err(error),
                Ok(read) => {
                    lent.give_back();
                    return Ok(read);
                }
            }
            patience -= 1;
        }
    }

    /// READ COMMITTED, as Postgres does by default: rows are guarded by locks and constraints.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        let mut patience = self.0.writes.pool().size();
        loop {
            let mut tx = Tx::on(self.lend(&self.0.writes).await?);
            // Nothing was done yet, so another connection does as well. There may be as many that died as there are.
            match self.unless_away(tx.open()).await {
                Err(error) if is_lost(&error) && patience > 0 => tracing::info!(%error, "a connection had ended"),
                begun => return begun.map(|()| tx),
            }
            patience -= 1;
        }
    }

    async fn lend(&self, lender: &Lender) -> sqlx::Result<Lent> {
        match lender.at_hand() {
            Some(lent) => Ok(lent),
            None => self.undisturbed(lender.clone().lend().boxed()).await,
        }
    }

    /// Whether the database answers. While it does not, whoever wants a connection is told so at once; somebody
    /// has to ask again, then, to see it come back.
    pub async fn ping(&self) -> sqlx::Result<()> {
        if self.0.reads.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        self.0.health.look().await
    }

    /// A transaction in which every statement sees the same moment, and nothing can be written.
    pub async fn snapshot(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let pool = self.0.reads.clone();
        let begin = async move { pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await };
        self.undisturbed(begin.boxed()).await
    }

    /// Nobody waits for a database that is known to be away.
    async fn unless_away<T>(&self, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        tokio::select! {
            biased;
            away = self.0.health.until_away() => Err(away),
            done = work => done,
        }
    }

    /// Gets a connection or begins to read in a task of its own, so that it happens wholly, whoever stops waiting for it.
    ///
    /// A client that hangs up drops what it reads at any point. Up to sqlx 0.9.0, dropping `BEGIN` half-way gives the
    /// connection back to the pool inside the transaction (transact-rs/sqlx#4393), and whoever gets it next works
    /// there, for nothing; dropping `acquire` half-way loses the connection, and Postgres has to start another.
    /// This way, what is dropped is a whole connection, or a transaction that sqlx rolls back ([`Tx`] does so itself).
    ///
    /// The work is boxed: it takes four kilobytes, and would be part of whatever waits for it, up to each handler that may
    /// come to the database, and be set aside and moved for each request that does not.
    async fn undisturbed<T: Send + 'static>(&self, work: BoxFuture<'static, sqlx::Result<T>>) -> sqlx::Result<T> {
        let work = tokio::spawn(work);
        self.unless_away(async { work.await.unwrap_or(Err(sqlx::Error::WorkerCrashed)) }).await
    }

    /// A connection beside the pools, inside a transaction in which every statement sees the same moment: for who reads as
    /// slowly as a client takes it. It ends with the connection.
    pub async fn snapshot_apart(&self) -> sqlx::Result<PgConnection> {
        let mut conn = self.0.options.connect().await?;
        sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut conn).await?;
        Ok(conn)
    }

    /// A snapshot with time to read all there is.
    pub async fn long_snapshot(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let mut tx = self.snapshot().await?;
        sqlx::query("SET LOCAL statement_timeout = '10min'").execute(&mut *tx).await?;
        Ok(tx)
    }

    pub async fn close(&self) {
        self.0.writes.close().await;
        self.0.lookups.close().await;
        self.0.reads.close().await;
        self.0.health.close().await;
    }

    /// Connections open, and how many of them are idle.
    pub fn connections(&self) -> (u32, usize) {
        let Inner { writes, reads, lookups, .. } = &*self.0;
        let open = writes.pool().size() + reads.size() + lookups.pool().size();
        (open, writes.idle() + reads.num_idle() + lookups.idle())
    }
}

/// Every session carries limits, so that nothing of ours can hold locks for ever.
fn limited(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("stockhold").options([
        ("statement_timeout", "30s"),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "60s"),
    ])
}

/// The connection is gone: by itself, or because Postgres ended it (class 57P).
fn is_lost(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    matches!(error, sqlx::Error::Io(_)) || code.is_some_and(|code| code.starts_with("57P"))
}

/// A wrong password or database name does not get better by waiting.
fn is_final(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code.starts_with("28") || code == "3D000")
}
