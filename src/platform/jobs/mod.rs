//! Jobs: work that is done later, once, whatever happens to the server that began it.
//!
//! - **Invariant:** a job is there when the transaction that made it commits, and only then.
//! - **Invariant:** a job ends once. Whoever lost its lease cannot say how it went (`fence`), and what a handler does in the
//!   transaction in which it calls [`Running::finish_in_tx`] happens exactly once.
//! - **Invariant:** of a kind and key, one job waits at most. Whoever makes another holds the one that waits until his
//!   transaction ends. So a handler that first finishes its job and then reads, in one transaction, sees all that it was
//!   made for.
//!
//! A handler whose effect is not in this database may have it twice, when a server dies between the effect and the end of
//! the job; the job's id is the same.
//!
//! # Why our own
//! The queues that there are as crates fit less well than these few statements: graphile_worker says NOTIFY in the transaction
//! that makes a job, which takes a global lock at commit, and brings a schema beside our roles and backups;
//! apalis-postgres cannot make a job on the caller's connection; the others are on an older sqlx.

mod error;
mod model;
mod repo;
mod run;

use sqlx::PgConnection;
use uuid::Uuid;

use super::db::Db;
use super::page::{Page, PageRequest};

pub use error::Error;
pub use model::{Failure, Job, JobDetail, JobStatus, NewJob};
pub use run::{Handlers, Running, Terms};

/// Days for which jobs that have ended are kept.
const KEPT_DAYS: i32 = 14;
const FORGOTTEN_AT_ONCE: i64 = 2000;

type Result<T> = std::result::Result<T, Error>;

/// Makes jobs in the caller's transaction: one statement, whatever their number.
pub async fn enqueue_in_tx(conn: &mut PgConnection, new: &[NewJob]) -> sqlx::Result<()> {
    if new.is_empty() { Ok(()) } else { repo::insert(conn, new).await }
}

#[derive(Clone)]
pub struct Jobs {
    db: Db,
}

impl Jobs {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn list(
        &self,
        status: Option<JobStatus>,
        kind: Option<&str>,
        page: PageRequest<Uuid>,
    ) -> Result<Page<Job>> {
        let status = status.map(JobStatus::as_str);
        let rows = repo::list(&mut *self.db.conn().await?, status, kind, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    pub async fn get(&self, id: Uuid) -> Result<JobDetail> {
        repo::find(&mut *self.db.conn().await?, id).await?.ok_or(Error::NoJob(id))
    }

    /// Without what it is about: that may be personal, and need not be kept by the audit trail.
    async fn get_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Job> {
        Ok(repo::find(conn, id).await?.ok_or(Error::NoJob(id))?.job)
    }

    pub async fn lock_job_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Job> {
        repo::lock(conn, id).await?;
        self.get_in_tx(conn, id).await
    }

    /// Makes a job due now, with all its attempts: one that was given up or cancelled, or that waits.
    pub async fn retry_job_in_tx(&self, conn: &mut PgConnection, job: &Job) -> Result<Job> {
        if job.under_way {
            return Err(Error::UnderWay);
        }
        if job.status == JobStatus::Done.as_str() {
            return Err(Error::Ended(job.status.clone()));
        }
        match repo::retry(conn, job.id).await {
            Ok(true) => {}
            Ok(false) => return Err(Error::AnotherWaits),
            // It was made in this moment.
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Err(Error::AnotherWaits),
            Err(error) => return Err(error.into()),
        }
        self.get_in_tx(conn, job.id).await
    }

    /// No attempt is begun any more. Of one under way, the end does not count, nor what it does in the job's transaction.
    pub async fn cancel_job_in_tx(&self, conn: &mut PgConnection, job: &Job) -> Result<Job> {
        if job.status != JobStatus::Pending.as_str() {
            return Err(Error::Ended(job.status.clone()));
        }
        repo::cancel(conn, job.id).await?;
        self.get_in_tx(conn, job.id).await
    }

    /// Counts what waits, and deletes some of what ended long ago. Says whether there may be more.
    pub async fn tidy(&self) -> sqlx::Result<bool> {
        let pending = repo::count_pending(&mut *self.db.conn().await?).await?;
        metrics::gauge!("stockhold_jobs_pending").set(pending as f64);
        let mut tx = self.db.begin().await?;
        let forgotten = repo::forget(&mut tx, KEPT_DAYS, FORGOTTEN_AT_ONCE).await?;
        tx.commit().await?;
        Ok(forgotten == FORGOTTEN_AT_ONCE.unsigned_abs())
    }
}
