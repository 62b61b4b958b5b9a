//! The processes that orders go through: reviewed, paid, shipped, the money taken, or given up with all that was done.
//!
//! - **Invariant:** an order is in one step of one process; what brings it further happens in one transaction with the note of it,
//!   under the lock of the order's row. So it is done once, whatever is killed when.
//! - **Invariant:** a process ends completed, or compensated: then nothing of the order is open, promised or kept that was not shipped.
//!
//! The order's row is locked before its process is looked at.

mod engine;
mod error;
mod events;
mod follow;
mod http;
mod model;
mod repo;

use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::Limits;
use crate::events::{Events, Follower};
use crate::orders::{Order, Orders};
use crate::payments::Payments;
use crate::platform::clock::Timestamp;
use crate::platform::db::Db;
use crate::platform::jobs::Handlers;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Fault;

pub use error::Error;
pub use http::router;
pub use model::{StepKind, Trouble};

use model::{NewWorkflow, RunStatus, Timeline, TimelineEntry, Workflow, WorkflowRun};

type Result<T> = std::result::Result<T, Error>;

#[derive(Clone)]
pub struct Workflows {
    db: Db,
    events: Events,
    orders: Orders,
    payments: Payments,
    follower: Arc<Follower>,
}

impl Workflows {
    pub fn new(db: Db, events: Events, orders: Orders, payments: Payments) -> Self {
        Self { db, events, orders, payments, follower: follow::follower().into() }
    }

    pub fn add_handlers(&self, handlers: Handlers) -> Handlers {
        let workflows = self.clone();
        handlers.with(follow::KIND, follow::TERMS, move |job| {
            let workflows = workflows.clone();
            async move { workflows.advance(&job).await }
        })
    }

    async fn list(&self, page: PageRequest<String>) -> Result<Page<Workflow>> {
        let rows = repo::definitions(&mut *self.db.conn().await?, page.after.as_deref(), page.fetch()).await?;
        Ok(page.page(rows, |row| row.code.clone()))
    }

    async fn get(&self, code: &str) -> Result<Workflow> {
        self.find(&mut *self.db.conn().await?, code).await
    }

    async fn find(&self, conn: &mut PgConnection, code: &str) -> Result<Workflow> {
        repo::definition(conn, code).await?.ok_or_else(|| Error::NoDefinition(code.to_owned()))
    }

    /// Locks all definitions, and reads one.
    async fn lock_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<Option<Workflow>> {
        repo::lock_definitions(conn).await?;
        Ok(repo::definition(conn, code).await?)
    }

    /// All definitions are locked.
    async fn put_in_tx(&self, conn: &mut PgConnection, code: &str, new: &NewWorkflow) -> Result<Workflow> {
        let mut faults = new.faults();
        let is_code =
            (1..=32).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !is_code {
            faults.push(Fault::new("/path/code", "pattern", "1 to 32 letters, digits, dots, dashes or underscores"));
        }
        let named: Vec<String> = new.channels.iter().flatten().map(|channel| channel.0.clone()).collect();
        let channels = if named.is_empty() { vec![String::new()] } else { named };
        let channels = if new.active.unwrap_or(true) { channels } else { Vec::new() };
        for (channel, owner) in repo::taken_channels(conn, code, &channels).await? {
            let (pointer, detail) = match channels.iter().position(|it| *it == channel).filter(|_| !channel.is_empty())
            {
                Some(n) => (format!("/channels/{n}"), format!("the orders of {channel} go through '{owner}'")),
                None => ("/channels".to_owned(), format!("orders that nothing else is said of go through '{owner}'")),
            };
            faults.push(Fault::new(pointer, "taken", detail));
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        repo::put_definition(conn, code, new).await?;
        repo::set_channels(conn, code, &channels).await?;
        self.find(conn, code).await
    }

    /// Orders that are on their way through it go on as they began.
    async fn delete_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<()> {
        Ok(repo::delete_definition(conn, code).await?)
    }

    async fn list_runs(
        &self,
        status: Option<RunStatus>,
        channels: Option<Vec<String>>,
        page: PageRequest<Uuid>,
    ) -> Result<Page<WorkflowRun>> {
        let mut conn = self.db.conn().await?;
        let rows = repo::runs(&mut conn, status, channels.as_deref(), page.after, page.fetch()).await?;
        Ok(page.page(rows, |run| run.order_id))
    }

    /// Orders whose process is stuck, or at a step that is due by then, in the order of their ids.
    pub async fn troubled(
        &self,
        conn: &mut PgConnection,
        until: Timestamp,
        after: Option<Uuid>,
        limit: i64,
    ) -> sqlx::Result<Vec<Uuid>> {
        repo::troubled(conn, until, after, limit).await
    }

    /// What is the matter with those of these orders.
    pub async fn troubles_of(
        &self,
        conn: &mut PgConnection,
        until: Timestamp,
        orders: &[Uuid],
    ) -> sqlx::Result<Vec<Trouble>> {
        Ok(repo::troubles_of(conn, until, orders).await?.iter().filter_map(WorkflowRun::trouble).collect())
    }

    async fn timeline(&self, order: &str, limits: &Limits) -> Result<Timeline> {
        let order = self.orders.get(order, limits).await?.head.id;
        let mut conn = self.db.snapshot().await?;
        let workflow = repo::run(&mut conn, order).await?;
        let mut entries = repo::entries(&mut conn, order).await?;
        let operations = self.payments.operations(&mut conn, order).await?.into_iter().map(|operation| TimelineEntry {
            at: operation.at,
            kind: operation.kind,
            what: operation.status,
            attempt: operation.attempts,
            detail: operation.detail,
            actor: None,
        });
        entries.extend(operations);
        entries.sort_by_key(|entry| entry.at);
        Ok(Timeline { workflow, entries })
    }

    /// Locks an order, and reads its process.
    async fn lock_run_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &str,
        limits: &Limits,
    ) -> Result<(Order, WorkflowRun)> {
        let order = self.orders.lock_in_tx(conn, order, limits).await?;
        let run = repo::run(conn, order.head.id).await?.ok_or(Error::NoRun(order.head.number))?;
        Ok((order, run))
    }

    /// Somebody decides what becomes of the present step; the order goes on from there.
    async fn decide_in_tx(
        &self,
        conn: &mut PgConnection,
        order: Order,
        mut run: WorkflowRun,
        choice: Choice,
        reason: Option<&str>,
        actor: &str,
    ) -> Result<WorkflowRun> {
        choice.check(&run)?;
        let before = run.clone();
        engine::note(conn, &run, choice.noted(), reason, Some(actor)).await?;
        let now = repo::clock(conn).await?;
        match choice {
            Choice::Approve => run.approved = true,
            Choice::Retry => (run.status, run.error, run.attempts, run.since) = (RunStatus::Running, None, 0, now),
            Choice::Skip => self.go_on_in_tx(conn, &mut run, now).await?,
            Choice::Compensate => {
                let told = reason.map_or_else(|| format!("{actor} gave it up"), str::to_owned);
                (run.status, run.error) = (RunStatus::Compensating, Some(told));
            }
        }
        self.advance_in_tx(conn, order, before, run).await
    }
}

/// What somebody may decide of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Approve,
    Retry,
    Skip,
    Compensate,
}

impl Choice {
    fn noted(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Retry => "retried",
            Self::Skip => "skipped",
            Self::Compensate => "given_up",
        }
    }

    fn check(self, run: &WorkflowRun) -> Result<()> {
        let is_reviewed = run.current().is_some_and(|step| step.kind == StepKind::Review);
        let allowed = match self {
            Self::Approve => run.status == RunStatus::Running && is_reviewed,
            Self::Retry => run.status == RunStatus::Stuck,
            Self::Skip | Self::Compensate => matches!(run.status, RunStatus::Running | RunStatus::Stuck),
        };
        if allowed {
            return Ok(());
        }
        let told = match self {
            Self::Approve => "the order does not wait for a review",
            Self::Retry => "no step of it has failed",
            Self::Skip | Self::Compensate => "it has ended, or is being given up",
        };
        Err(Error::State(told.to_owned()))
    }
}
