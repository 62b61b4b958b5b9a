//! What a provider knows that we do not: somebody confirmed a payment in a browser, or gave it up, or it ran out.
//!
//! A message of a provider, and the passing of time, are hints to ask its books. What they say now is booked, so messages that
//! come late, twice or in another order do no harm.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::judge::{Outcome, Verdict, difference, gone, judge};
use super::model::{OperationKind, OperationState, Payment, PaymentOperation, PaymentState, ProviderName};
use super::provider::{Phase, Provider, ProviderError, Report};
use super::{Error, Payments, Result, repo};
use crate::access::Limits;
use crate::orders::Payable;
use crate::platform::clock::Timestamp;
use crate::platform::db::text::to_text;
use crate::platform::jobs::{Failure, NewJob, Running, enqueue_in_tx};

pub const KIND: &str = "payment_look";

/// Seconds after which the books are asked of a payment without news.
const UNWATCHED: f64 = 300.0;
const WATCHED_AT_ONCE: i64 = 200;

/// A provider repeats a message for some days.
const MESSAGES_DAYS: i32 = 30;
const FORGOTTEN_AT_ONCE: i64 = 2000;

#[derive(Serialize, Deserialize)]
struct Payload {
    payment: Uuid,
}

/// Of a payment, one waits.
pub fn job(payment: Uuid) -> NewJob {
    NewJob { key: Some(payment.to_string()), ..NewJob::new(KIND, &Payload { payment }) }
}

impl Payments {
    /// Takes a message of Stripe's, and sees to it that the books are asked.
    pub(super) async fn hear_stripe(&self, signature: &str, body: &[u8]) -> Result<()> {
        let stripe = self.stripe.as_ref().ok_or_else(|| Error::NoProvider("stripe".to_owned()))?;
        let now = Timestamp::now().0.timestamp();
        let hint = stripe.verify_webhook(signature, body, now).map_err(Error::Forged)?;
        let Some(reference) = hint.reference else { return Ok(()) };
        let mut tx = self.db.begin().await?;
        let name = to_text(ProviderName::Stripe);
        if repo::note_message(&mut tx, &name, &hint.id).await? {
            // What is not known by that name is none of ours, or not yet: then it is asked of before long.
            if let Some(payment) = repo::by_reference(&mut tx, &name, &reference).await? {
                // Another look may be under way that began before what the message tells of.
                enqueue_in_tx(&mut tx, &[NewJob::new(KIND, &Payload { payment })]).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Sees to it that the books are asked of what there was no news of for some time. Says whether there may be more.
    pub async fn watch(&self) -> sqlx::Result<bool> {
        if self.stripe.is_none() {
            return Ok(false);
        }
        let mut tx = self.db.begin().await?;
        let due = repo::take_unwatched(&mut tx, UNWATCHED, WATCHED_AT_ONCE).await?;
        let jobs: Vec<NewJob> = due.iter().map(|payment| job(*payment)).collect();
        enqueue_in_tx(&mut tx, &jobs).await?;
        let more = repo::forget_messages(&mut tx, MESSAGES_DAYS, FORGOTTEN_AT_ONCE).await?;
        tx.commit().await?;
        Ok(more || i64::try_from(due.len()).is_ok_and(|n| n == WATCHED_AT_ONCE))
    }

    pub(super) async fn look(&self, provider: &impl Provider, job: &Running) -> std::result::Result<(), Failure> {
        let Payload { payment } = job.payload()?;
        let found = repo::find(&mut *self.db.conn().await?, payment).await?;
        let Some(reference) = found.and_then(|payment| payment.provider_reference) else { return Ok(()) };
        let report = match provider.fetch(&reference).await {
            Ok(report) => report,
            Err(ProviderError::Again(told)) => return Err(Failure::Again(told)),
            Err(ProviderError::Declined(told)) => return Err(Failure::Final(told)),
        };
        let mut tx = self.db.begin().await?;
        let locked = self.lock_in_tx(&mut tx, payment, &Limits::default()).await;
        let (order, payment) = locked.map_err(|error| Failure::again(&error))?;
        let learnt = self.learn_in_tx(&mut tx, &order, payment, &report).await;
        learnt.map_err(|error| Failure::again(&error))?;
        Ok(job.commit(tx).await?)
    }

    /// Books what the provider's books say beyond ours. The order is locked.
    async fn learn_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Payable,
        mut payment: Payment,
        report: &Report,
    ) -> Result<()> {
        // Each step that the books are ahead, one by one.
        let mut steps = 0;
        while let Some((operation, outcome)) = self.next_in_tx(conn, &payment, report).await? {
            self.book_in_tx(conn, order, payment.clone(), operation, &outcome).await?;
            payment = repo::find(conn, payment.id).await?.ok_or(Error::NotFound(payment.id))?;
            steps += 1;
        }
        let is_open = matches!(payment.status, PaymentState::Pending | PaymentState::Authorised);
        if steps > 0 || !is_open || repo::pending_of(conn, payment.id).await?.is_some() {
            return Ok(());
        }
        if let Some(told) = difference(&payment, report) {
            return Ok(self.orders.flag_in_tx(conn, order.id, &told).await?);
        }
        let news = match gone(&report.phase) {
            Some(status) => vec![payment.end(status, "the provider gave it up")],
            None => Vec::new(),
        };
        if news.is_empty() && payment.expires_at == report.expires_at {
            return Ok(());
        }
        payment.expires_at = report.expires_at.filter(|_| news.is_empty());
        repo::save(conn, &payment).await?;
        self.tell_in_tx(conn, &payment, &news).await
    }
    /// The next thing that ended at the provider and is not booked here.
    async fn next_in_tx(
        &self,
        conn: &mut PgConnection,
        payment: &Payment,
        report: &Report,
    ) -> Result<Option<(PaymentOperation, Outcome)>> {
        if let Some(pending) = repo::pending_of(conn, payment.id).await? {
            // Whoever is at another operation reads the books as well.
            if pending.kind != OperationKind::Authorise {
                return Ok(None);
            }
            let by_us = repo::private(conn, payment.id).await?.payment_method.is_some();
            return Ok(match judge(pending.kind, pending.amount, by_us, payment, report) {
                Verdict::Done(outcome) => Some((pending, outcome)),
                Verdict::Act | Verdict::Waits => None,
            });
        }
        let Some((kind, amount)) = beyond(payment, report) else { return Ok(None) };
        let reason = Some("done at the provider, and not by this server");
        let learnt = PaymentOperation::new(kind, amount, OperationState::Pending, reason);
        repo::insert_operation(conn, payment.id, &learnt).await?;
        Ok(Some((learnt, Outcome::Succeeded { amount, reference: None, expires_at: report.expires_at })))
    }
}

/// What was done to a payment without us.
fn beyond(payment: &Payment, report: &Report) -> Option<(OperationKind, i64)> {
    if difference(payment, report).is_some() {
        return None;
    }
    match (payment.status, &report.phase) {
        (PaymentState::Pending, Phase::Authorised | Phase::Captured) => {
            Some((OperationKind::Authorise, payment.amount))
        }
        (PaymentState::Authorised, Phase::Captured) => Some((OperationKind::Capture, report.received)),
        _ => None,
    }
}
