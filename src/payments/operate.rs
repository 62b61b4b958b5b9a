//! How a provider is brought to do an operation: once, whatever is cut off when.
//!
//! 1. *Read* the operation; what has ended is done.
//! 2. *Ask* the provider's books. Only what they do not show yet is asked for, under the operation's id.
//! 3. *Book* the outcome, and end the job, in one transaction.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::judge::{Outcome, Verdict, difference, judge};
use super::model::{CaptureMode, OperationKind, OperationState, Payment, PaymentOperation, PaymentState, kept};
use super::provider::{Asked, Provider, ProviderError};
use super::settings::Settings;
use super::{Payments, Result, look, repo};
use crate::access::Limits;
use crate::orders::Payable;
use crate::platform::jobs::{Failure, NewJob, Running, Terms, enqueue_in_tx};

pub const KIND: &str = "payment";

/// Under way at once, of one server.
const AT_ONCE: usize = 16;

/// An attempt asks the books, acts, and asks the books.
const CALLS: u32 = 5;

pub fn terms(settings: &Settings) -> Terms {
    let retry = Duration::from_secs(settings.retry_seconds);
    Terms { at_once: AT_ONCE, timeout: settings.timeout() * CALLS, retry }
}

#[derive(Serialize, Deserialize)]
struct Payload {
    payment: Uuid,
    operation: Uuid,
}

pub fn job(payment: Uuid, operation: Uuid) -> NewJob {
    NewJob::new(KIND, &Payload { payment, operation })
}

impl Payments {
    pub(super) async fn operate(&self, provider: &impl Provider, job: &Running) -> std::result::Result<(), Failure> {
        let Payload { payment, operation: id } = job.payload()?;
        let mut conn = self.db.conn().await?;
        let pending = repo::pending_of(&mut conn, payment).await?.filter(|pending| pending.id == id);
        let (Some(operation), Some(payment)) = (pending, repo::find(&mut conn, payment).await?) else {
            return Ok(());
        };
        repo::note_attempt(&mut conn, id, job.attempt).await?;
        drop(conn);
        match self.perform(provider, &payment, &operation).await {
            Ok(Verdict::Done(outcome)) => self.record(job, payment.id, id, &outcome).await,
            // Whoever is waited for makes news, and else it is asked now and then.
            Ok(Verdict::Waits) => Ok(()),
            Ok(Verdict::Act) => Err(Failure::Again("it was asked for, and the books do not show it yet".to_owned())),
            Err(ProviderError::Declined(told)) => self.record(job, payment.id, id, &Outcome::Failed(told)).await,
            Err(ProviderError::Again(told)) => {
                repo::note_error(&mut *self.db.conn().await?, id, &kept(&told)).await?;
                Err(Failure::Again(told))
            }
        }
    }

    /// Asks the provider for what its books do not show yet, and says what they show then.
    async fn perform(
        &self,
        provider: &impl Provider,
        payment: &Payment,
        operation: &PaymentOperation,
    ) -> std::result::Result<Verdict, ProviderError> {
        let again = |error: sqlx::Error| ProviderError::Again(error.to_string());
        let mut conn = self.db.conn().await.map_err(again)?;
        let private = repo::private(&mut conn, payment.id).await.map_err(again)?;
        drop(conn);
        let by_us = private.payment_method.is_some();
        let reference = match &payment.provider_reference {
            Some(reference) => reference.clone(),
            None if operation.kind == OperationKind::Authorise => {
                self.open(provider, payment, operation, private.payment_method.as_deref()).await?
            }
            None => return Ok(Verdict::Done(Outcome::Failed("the provider never knew of it".to_owned()))),
        };
        if operation.kind == OperationKind::Refund {
            return refund(provider, payment, &reference, operation).await;
        }
        let judged = |report| judge(operation.kind, operation.amount, by_us, payment, &report);
        match judged(provider.fetch(&reference).await?) {
            Verdict::Act => {}
            verdict => return Ok(verdict),
        }
        let done = match operation.kind {
            OperationKind::Authorise => provider.authorise(&reference, operation.id).await,
            OperationKind::Capture => provider.capture(&reference, operation.id, operation.amount).await,
            OperationKind::Void | OperationKind::Refund => provider.void(&reference, operation.id).await,
        };
        match done {
            Ok(report) => Ok(judged(report)),
            // It may be refused because another attempt of ours has just done it.
            Err(ProviderError::Declined(told)) => match judged(provider.fetch(&reference).await?) {
                Verdict::Done(outcome) => Ok(Verdict::Done(outcome)),
                Verdict::Act | Verdict::Waits => Ok(Verdict::Done(Outcome::Failed(told))),
            },
            Err(again) => Err(again),
        }
    }

    /// Makes a payment known to its provider, and keeps what it is called there before anything is charged.
    async fn open(
        &self,
        provider: &impl Provider,
        payment: &Payment,
        operation: &PaymentOperation,
        payment_method: Option<&str>,
    ) -> std::result::Result<String, ProviderError> {
        let asked = Asked {
            payment: payment.id,
            order: payment.order_id,
            operation: operation.id,
            amount: payment.amount,
            currency: &payment.currency,
            payment_method,
        };
        let opened = provider.open(&asked).await?;
        let kept = async {
            let mut conn = self.db.conn().await?;
            repo::set_reference(&mut conn, payment.id, &opened.reference, opened.client_secret.as_deref()).await?;
            // Another attempt may have been first.
            repo::find(&mut conn, payment.id).await
        };
        let kept = kept.await.map_err(|error| ProviderError::Again(error.to_string()))?;
        let reference = kept.and_then(|payment| payment.provider_reference);
        reference.ok_or_else(|| ProviderError::Again("the payment is not there".to_owned()))
    }

    async fn record(
        &self,
        job: &Running,
        payment: Uuid,
        operation: Uuid,
        outcome: &Outcome,
    ) -> std::result::Result<(), Failure> {
        let mut tx = self.db.begin().await?;
        let locked = self.lock_in_tx(&mut tx, payment, &Limits::default()).await;
        let (order, payment) = locked.map_err(|error| Failure::again(&error))?;
        let pending = repo::pending_of(&mut tx, payment.id).await?.filter(|pending| pending.id == operation);
        if let Some(pending) = pending {
            let booked = self.book_in_tx(&mut tx, &order, payment, pending, outcome).await;
            booked.map_err(|error| Failure::again(&error))?;
        }
        Ok(job.commit(tx).await?)
    }

    /// Books how an operation ended, and asks for what follows from that. The order is locked.
    pub(super) async fn book_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Payable,
        mut payment: Payment,
        mut operation: PaymentOperation,
        outcome: &Outcome,
    ) -> Result<()> {
        let news = match outcome {
            Outcome::Succeeded { amount, reference, expires_at } => {
                (operation.status, operation.amount) = (OperationState::Succeeded, *amount);
                operation.provider_reference.clone_from(reference);
                operation.error = None;
                payment.expires_at = expires_at.filter(|_| operation.kind == OperationKind::Authorise);
                vec![payment.book(operation.kind, *amount)]
            }
            Outcome::Failed(told) | Outcome::Differs(told) => {
                (operation.status, operation.error) = (OperationState::Failed, Some(kept(told)));
                payment.last_error = Some(kept(told));
                let is_over = operation.kind == OperationKind::Authorise;
                if is_over { vec![payment.end(PaymentState::Failed, told)] } else { Vec::new() }
            }
        };
        repo::end_operation(conn, &operation).await?;
        repo::save(conn, &payment).await?;
        self.tell_in_tx(conn, &payment, &news).await?;
        match outcome {
            Outcome::Succeeded { .. } => self.go_on_in_tx(conn, order, payment, operation.kind).await,
            Outcome::Differs(told) => Ok(self.orders.flag_in_tx(conn, order.id, told).await?),
            // Why it failed may be news of the payment as well.
            Outcome::Failed(_) => Ok(enqueue_in_tx(conn, &[look::job(payment.id)]).await?),
        }
    }

    /// What comes after an operation that succeeded.
    async fn go_on_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Payable,
        payment: Payment,
        done: OperationKind,
    ) -> Result<()> {
        let gains = matches!(done, OperationKind::Authorise | OperationKind::Capture);
        if gains && order.is_cancelled {
            let told = "money came for an order that is cancelled, and is given back";
            self.orders.flag_in_tx(conn, order.id, told).await?;
            for (kind, amount) in payment.to_give_up() {
                self.ask_in_tx(conn, payment.clone(), kind, amount, Some(super::late::REASON)).await?;
            }
            return Ok(());
        }
        if done == OperationKind::Authorise && payment.capture == CaptureMode::Automatic {
            let amount = payment.authorised;
            return self.ask_in_tx(conn, payment, OperationKind::Capture, amount, None).await;
        }
        Ok(())
    }
}

/// Refunds are found in the books by the operation that they were made for.
async fn refund(
    provider: &impl Provider,
    payment: &Payment,
    reference: &str,
    operation: &PaymentOperation,
) -> std::result::Result<Verdict, ProviderError> {
    let done = |refund: String| {
        let outcome = Outcome::Succeeded { amount: operation.amount, reference: Some(refund), expires_at: None };
        Ok(Verdict::Done(outcome))
    };
    if let Some(told) = difference(payment, &provider.fetch(reference).await?) {
        return Ok(Verdict::Done(Outcome::Differs(told)));
    }
    if let Some(found) = provider.refund_of(reference, operation.id).await? {
        return done(found);
    }
    match provider.refund(reference, operation.id, operation.amount).await {
        Ok(made) => done(made),
        Err(ProviderError::Declined(told)) => match provider.refund_of(reference, operation.id).await? {
            Some(found) => done(found),
            None => Ok(Verdict::Done(Outcome::Failed(told))),
        },
        Err(again) => Err(again),
    }
}
