//! Money for orders that are cancelled: what is promised is let go of, what was taken is given back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::model::{OperationKind, ProviderName};
use super::{Error, Payments, Result, repo};
use crate::access::Limits;
use crate::events::{Follower, PublishedEvent};
use crate::orders;
use crate::platform::jobs::{Failure, NewJob, Running, Terms, enqueue_in_tx};

/// What it waits for.
const CANCELLED: &str = "order.cancelled";

/// Events read at once.
const STRETCH: i64 = 500;

pub const KIND: &str = "payments_of_cancelled";
pub const TERMS: Terms = Terms { at_once: 4, timeout: Duration::from_secs(30), retry: Duration::from_secs(2) };

/// What the operations say that follow from it.
pub const REASON: &str = "the order is cancelled";

#[derive(Serialize, Deserialize)]
struct Payload {
    order: Uuid,
}

pub fn follower() -> Follower {
    Follower::of_rare("payments", &[CANCELLED])
}

impl Payments {
    /// Takes note of orders that were cancelled as a whole. Says whether there is more.
    pub async fn follow(&self) -> sqlx::Result<bool> {
        let Some(horizon) = self.events.ahead_of(&self.follower).await? else { return Ok(false) };
        let mut tx = self.db.begin().await?;
        let Some(taken) = self.events.take_in_tx(&mut tx, &self.follower, horizon, STRETCH).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        let jobs: Vec<NewJob> = taken.events.iter().filter_map(cancelled).map(job).collect();
        enqueue_in_tx(&mut tx, &jobs).await?;
        tx.commit().await?;
        Ok(self.follower.has_taken(&taken))
    }

    pub(super) async fn give_up(&self, job: &Running) -> std::result::Result<(), Failure> {
        let Payload { order } = job.payload()?;
        match self.give_up_all(job, order).await {
            Ok(()) | Err(Error::Orders(orders::Error::NotFound(_))) => Ok(()),
            Err(error) => Err(Failure::again(&error)),
        }
    }

    async fn give_up_all(&self, job: &Running, order: Uuid) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let order = self.orders.lock_payable_in_tx(&mut tx, order, &Limits::default()).await?;
        let payments = if order.is_cancelled { repo::of_order(&mut tx, order.id).await? } else { Vec::new() };
        let all = payments.iter().flat_map(|payment| payment.to_give_up().map(move |given_up| (payment, given_up)));
        for (payment, (kind, amount)) in all {
            if payment.provider == ProviderName::Manual && kind == OperationKind::Refund {
                // That it was paid back is somebody's word, and nobody has said so.
                let told = format!("{REASON}: {amount} {} are to be paid back by hand", payment.currency);
                self.orders.flag_in_tx(&mut tx, order.id, &told).await?;
                continue;
            }
            match self.ask_in_tx(&mut tx, payment.clone(), kind, amount, Some(REASON)).await {
                // What is under way finds the order cancelled when it ends.
                Ok(()) | Err(Error::State(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(job.commit(tx).await?)
    }
}

/// The order, if all of it was cancelled.
fn cancelled(event: &PublishedEvent) -> Option<Uuid> {
    let is_whole = event.r#type == CANCELLED && event.data["status"] == "cancelled";
    event.data["id"].as_str().filter(|_| is_whole)?.parse().ok()
}

/// Of an order, one waits.
fn job(order: Uuid) -> NewJob {
    NewJob { key: Some(order.to_string()), ..NewJob::new(KIND, &Payload { order }) }
}
