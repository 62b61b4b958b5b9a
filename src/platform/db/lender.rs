//! Lends a pool's connections for a moment at a time.
//!
//! sqlx asks a connection whether it still answers each time that it is given back: a round trip for each transaction,
//! and for a look-up as much again as the look-up itself. Whoever brings one back in order has shown that it answers.
//! Such a one is kept here and lent again, and goes back to the pool, which asks it, after [`LEASE`].

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgTransactionManager};
use sqlx::{Executor, PgConnection, Postgres};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ACQUIRE_TIMEOUT;

/// How long a connection is lent on before the pool has it back.
const LEASE: Duration = Duration::from_secs(1);

/// Whoever takes connections from the pool itself makes others wait for their turn. Clones share it.
#[derive(Clone)]
pub(super) struct Lender(Arc<Inner>);

struct Inner {
    pool: PgPool,
    places: Arc<Semaphore>,
    /// Nothing once it is closed
    kept: Mutex<Option<Vec<Taken>>>,
}

struct Taken {
    conn: PoolConnection<Postgres>,
    since: Instant,
}

/// A connection that is lent. Dropped, it goes to the pool, which asks it.
pub(super) struct Lent {
    taken: Taken,
    lender: Arc<Inner>,
    _place: OwnedSemaphorePermit,
}

impl Lender {
    pub fn new(pool: PgPool) -> Self {
        let places = usize::try_from(pool.options().get_max_connections()).expect("a small number");
        let kept = Mutex::new(Some(Vec::new()));
        Self(Arc::new(Inner { pool, places: Arc::new(Semaphore::new(places)), kept }))
    }

    /// One that is kept, if nobody waits for it.
    pub fn at_hand(&self) -> Option<Lent> {
        let place = self.0.places.clone().try_acquire_owned().ok()?;
        self.0.pick().map(|taken| self.lent(taken, place))
    }

    /// Waits for one as long as the pool would. Not to be dropped meanwhile.
    pub async fn lend(self) -> sqlx::Result<Lent> {
        let place = tokio::time::timeout(ACQUIRE_TIMEOUT, self.0.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let taken = match self.0.pick() {
            Some(taken) => taken,
            None => Taken { conn: self.0.pool.acquire().await?, since: Instant::now() },
        };
        Ok(self.lent(taken, place))
    }

    fn lent(&self, taken: Taken, place: OwnedSemaphorePermit) -> Lent {
        Lent { taken, lender: self.0.clone(), _place: place }
    }

    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// Those that are in nobody's hands.
    pub fn idle(&self) -> usize {
        let kept = self.0.kept.lock().expect("nobody panics with it");
        self.0.pool.num_idle() + kept.as_ref().map_or(0, Vec::len)
    }

    /// Waits for those that are lent.
    pub async fn close(&self) {
        self.0.places.close();
        drop(self.0.kept.lock().expect("nobody panics with it").take());
        self.0.pool.close().await;
    }
}

impl Inner {
    /// The one that came back last. Those whose lease is over go to the pool.
    fn pick(&self) -> Option<Taken> {
        let mut kept = self.kept.lock().expect("nobody panics with it");
        let kept = kept.as_mut()?;
        kept.retain(|taken| taken.since.elapsed() < LEASE);
        kept.pop()
    }

    fn keep(&self, taken: Taken) {
        if let Some(kept) = &mut *self.kept.lock().expect("nobody panics with it") {
            kept.push(taken);
        }
    }
}

impl Lent {
    /// Gives it back in order: outside a transaction, and with nothing left to be read.
    pub fn give_back(self) {
        self.lender.keep(self.taken);
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.taken.conn
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.taken.conn
    }
}

/// A transaction that changes something. Rolled back when it is dropped, also while it begins; dropped while it commits,
/// it may have been committed.
pub struct Tx(Option<Lent>);

impl Tx {
    pub(super) const fn on(lent: Lent) -> Self {
        Self(Some(lent))
    }

    pub(super) async fn open(&mut self) -> sqlx::Result<()> {
        PgTransactionManager::begin(self, None).await
    }

    pub async fn commit(mut self) -> sqlx::Result<()> {
        PgTransactionManager::commit(&mut self).await?;
        self.ended();
        Ok(())
    }

    /// As dropping it, and waits until it is done.
    pub async fn rollback(mut self) -> sqlx::Result<()> {
        PgTransactionManager::rollback(&mut self).await?;
        self.ended();
        Ok(())
    }

    fn ended(mut self) {
        self.0.take().expect("until it ends").give_back();
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut lent) = self.0.take() else { return };
        // Whoever has the connection next must find it outside of the transaction.
        tokio::spawn(async move {
            let ended = if PgTransactionManager::get_transaction_depth(&lent) > 0 {
                PgTransactionManager::rollback(&mut lent).await
            } else {
                // It was beginning, and sqlx does not count it yet.
                lent.execute("ROLLBACK").await.map(drop)
            };
            if ended.is_ok() {
                lent.give_back();
            }
        });
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("until it ends")
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("until it ends")
    }
}
