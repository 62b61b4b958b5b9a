//! What brings orders further: the news of them, and the passing of time. Each makes a job, and a job does it.

use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Result, Workflows, repo};
use crate::access::Limits;
use crate::events::{Follower, PublishedEvent};
use crate::orders::{self, Order, Process};
use crate::platform::jobs::{Failure, NewJob, Running, Terms, enqueue_in_tx};
use crate::platform::problem::Problem;

/// What may bring an order further.
const NEWS: &[&str] = &[
    "order.placed",
    "order.cancelled",
    "order.updated",
    "shipment.shipped",
    "payment.authorised",
    "payment.captured",
    "payment.expired",
    "payment.failed",
    "payment.refunded",
    "payment.voided",
];

/// Events read at once, and processes woken at once.
const STRETCH: i64 = 500;

pub const KIND: &str = "workflow";
pub const TERMS: Terms = Terms { at_once: 8, timeout: Duration::from_secs(10), retry: Duration::from_secs(1) };

#[derive(Serialize, Deserialize)]
struct Payload {
    order: Uuid,
    /// The order is new
    begins: bool,
}

pub fn follower() -> Follower {
    Follower::of_rare("workflows", NEWS)
}

impl Workflows {
    /// Takes note of what happened to orders. Says whether there is more.
    pub async fn follow(&self) -> sqlx::Result<bool> {
        let Some(horizon) = self.events.ahead_of(&self.follower).await? else { return Ok(false) };
        let mut tx = self.db.begin().await?;
        let Some(taken) = self.events.take_in_tx(&mut tx, &self.follower, horizon, STRETCH).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        let begins = |event: &&PublishedEvent| event.r#type == "order.placed";
        let mut jobs = Vec::new();
        if taken.events.iter().any(|event| begins(&event)) && repo::is_any_active(&mut tx).await? {
            let new = taken.events.iter().filter(begins).filter_map(order_of);
            jobs.extend(new.map(|order| job(order, true)));
        }
        let touched: Vec<Uuid> = taken.events.iter().filter(|event| !begins(event)).filter_map(order_of).collect();
        if !touched.is_empty() {
            jobs.extend(repo::alive(&mut tx, &touched).await?.into_iter().map(|order| job(order, false)));
        }
        enqueue_in_tx(&mut tx, &jobs).await?;
        tx.commit().await?;
        Ok(self.follower.has_taken(&taken))
    }

    /// Looks at those whose deadline has come. Says whether there may be more.
    pub async fn wake(&self) -> sqlx::Result<bool> {
        let mut tx = self.db.begin().await?;
        let due = repo::take_due(&mut tx, STRETCH).await?;
        let jobs: Vec<NewJob> = due.iter().map(|order| job(*order, false)).collect();
        enqueue_in_tx(&mut tx, &jobs).await?;
        tx.commit().await?;
        Ok(i64::try_from(due.len()).is_ok_and(|n| n == STRETCH))
    }

    pub(super) async fn advance(&self, job: &Running) -> std::result::Result<(), Failure> {
        let Payload { order, begins } = job.payload()?;
        match self.advance_order(job, order, begins).await {
            Ok(()) | Err(Error::Orders(orders::Error::NotFound(_))) => Ok(()),
            Err(error) => Err(Failure::again(&error)),
        }
    }

    async fn advance_order(&self, job: &Running, order: Uuid, begins: bool) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let order = self.orders.lock_in_tx(&mut tx, &order.to_string(), &Limits::default()).await?;
        let run = match repo::run(&mut tx, order.head.id).await? {
            None if begins => self.begin_in_tx(&mut tx, &order).await?,
            run => run,
        };
        if let Some(run) = run.filter(|run| !run.is_over()) {
            self.advance_in_tx(&mut tx, order, run.clone(), run).await?;
        }
        Ok(job.commit(tx).await?)
    }
}

/// News of an order that is shipped at once comes too late to hold it back.
impl Process for Workflows {
    fn catch_up_in_tx<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        order: &'a Order,
    ) -> BoxFuture<'a, std::result::Result<bool, Problem>> {
        Box::pin(async move {
            if repo::run(conn, order.head.id).await?.is_some() {
                return Ok(false);
            }
            let Some(run) = self.begin_in_tx(conn, order).await? else { return Ok(false) };
            self.advance_in_tx(conn, order.clone(), run.clone(), run).await?;
            Ok(true)
        })
    }
}

/// The order that something happened to.
fn order_of(event: &PublishedEvent) -> Option<Uuid> {
    let member =
        if event.subject.starts_with("orders/") && event.data["order_id"].is_null() { "id" } else { "order_id" };
    event.data[member].as_str()?.parse().ok()
}

/// Of an order, one waits. It is done under the order's lock, so what happens to the order meanwhile is told of after it.
fn job(order: Uuid, begins: bool) -> NewJob {
    NewJob { key: Some(order.to_string()), ..NewJob::new(KIND, &Payload { order, begins }) }
}
