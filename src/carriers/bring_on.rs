//! How a provider is brought to do what a label waits for: once, whatever is cut off when.
//!
//! 1. *Read* the label; what waits for nothing is done.
//! 2. *Ask* the provider's books. Only what they do not show yet is asked for, and a provider sells a parcel one label at most.
//! 3. *Book* the outcome, and end the job, in one transaction.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::model::label::{Label, LabelStatus, kept};
use super::provider::{Books, Bought, Provider, ProviderError, Refund};
use super::repo::labels as repo;
use super::settings::Settings;
use super::{Carriers, Error, Result, hear};
use crate::access::Limits;
use crate::orders::OrderStatus;
use crate::platform::jobs::{Failure, NewJob, Running, Terms, enqueue_in_tx};

pub const KIND: &str = "label";

/// Under way at once, of one server.
const AT_ONCE: usize = 16;

/// An attempt asks the books, acts, asks the books, and fetches the label.
const CALLS: u32 = 4;

/// Seconds after which the books are asked of a label without news, and days for which that is done.
const UNWATCHED: f64 = 3.0 * 3600.0;
const WATCHED_DAYS: i32 = 60;
const WATCHED_AT_ONCE: i64 = 200;

/// A provider repeats a message for some days.
const MESSAGES_DAYS: i32 = 30;
const FORGOTTEN_AT_ONCE: i64 = 2000;

pub fn terms(settings: &Settings) -> Terms {
    let retry = Duration::from_secs(settings.easypost_retry_seconds);
    Terms { at_once: AT_ONCE, timeout: settings.timeout() * CALLS, retry }
}

#[derive(Serialize, Deserialize)]
struct Payload {
    label: Uuid,
}

/// Does whatever the label waits for by then.
pub fn job(label: Uuid) -> NewJob {
    NewJob::new(KIND, &Payload { label })
}

type Done = std::result::Result<(), Failure>;

impl Carriers {
    /// Sees to it that the books are asked of labels without news. Says whether there may be more.
    pub async fn watch(&self) -> sqlx::Result<bool> {
        let mut tx = self.db.begin().await?;
        let mut more = repo::forget_messages(&mut tx, MESSAGES_DAYS, FORGOTTEN_AT_ONCE).await?;
        if self.easypost.is_some() {
            let due = repo::take_unwatched(&mut tx, UNWATCHED, WATCHED_DAYS, WATCHED_AT_ONCE).await?;
            // Of a label, one look waits.
            let look = |label: &Uuid| NewJob { key: Some(label.to_string()), ..job(*label) };
            enqueue_in_tx(&mut tx, &due.iter().map(look).collect::<Vec<_>>()).await?;
            more |= i64::try_from(due.len()).is_ok_and(|n| n == WATCHED_AT_ONCE);
        }
        tx.commit().await?;
        Ok(more)
    }

    pub(super) async fn bring_on(&self, provider: &impl Provider, job: &Running) -> Done {
        let Payload { label } = job.payload()?;
        let mut conn = self.db.conn().await?;
        let Some(label) = repo::find(&mut conn, label).await? else { return Ok(()) };
        let Some(shipment) = label.provider_reference.clone() else { return Ok(()) };
        let rate = repo::rate_of(&mut conn, label.id).await?.unwrap_or_default();
        drop(conn);
        let outcome = match label.status {
            LabelStatus::Buying => match buy(provider, &shipment, &rate, self.is_wanted(&label).await?).await {
                Ok((bought, pdf)) => return self.record_bought(job, &label, &bought, &pdf).await,
                Err(ProviderError::Refused(told)) => Ok((LabelStatus::Failed, Some(told))),
                Err(again) => Err(again),
            },
            LabelStatus::Voiding => void(provider, &shipment).await,
            LabelStatus::Bought => match provider.track(&shipment).await {
                Ok(books) => return self.record_reports(job, &label, &books).await,
                Err(error) => Err(error),
            },
            LabelStatus::Failed | LabelStatus::Voided => return Ok(()),
        };
        match outcome {
            // Who takes it back is at it; there will be news.
            Ok((status, _)) if status == label.status => Ok(()),
            Ok((status, told)) => self.record_status(job, &label, status, told.as_deref()).await,
            Err(error) => {
                repo::note_error(&mut *self.db.conn().await?, label.id, &kept(&error.to_string())).await?;
                Err(Failure::again(&error))
            }
        }
    }

    /// Nothing is bought any more for an order that was cancelled meanwhile.
    async fn is_wanted(&self, label: &Label) -> std::result::Result<bool, Failure> {
        let order = self.orders.get(&label.order_id.to_string(), &Limits::default()).await;
        Ok(order.map_err(|error| Failure::again(&error))?.head.status != OrderStatus::Cancelled)
    }

    async fn record_bought(&self, job: &Running, label: &Label, bought: &Bought, pdf: &[u8]) -> Done {
        let mut tx = self.db.begin().await?;
        let booked: Result<()> = async {
            let now = self.lock_label_in_tx(&mut tx, label.id, &Limits::default()).await?;
            if now.status != LabelStatus::Buying {
                return Ok(());
            }
            repo::set_bought(&mut tx, label.id, bought, pdf).await?;
            self.tell_of_label_in_tx(&mut tx, "label.bought", label.id).await
        }
        .await;
        booked.map_err(|error| Failure::again(&error))?;
        Ok(job.commit(tx).await?)
    }

    async fn record_status(&self, job: &Running, label: &Label, status: LabelStatus, told: Option<&str>) -> Done {
        let mut tx = self.db.begin().await?;
        let booked: Result<()> = async {
            let now = self.lock_label_in_tx(&mut tx, label.id, &Limits::default()).await?;
            if now.status != label.status {
                return Ok(());
            }
            repo::set_status(&mut tx, label.id, status, told.map(kept).as_deref()).await?;
            match status {
                LabelStatus::Failed => self.tell_of_label_in_tx(&mut tx, "label.failed", label.id).await,
                LabelStatus::Voided => self.tell_of_label_in_tx(&mut tx, "label.voided", label.id).await,
                LabelStatus::Buying | LabelStatus::Bought | LabelStatus::Voiding => Ok(()),
            }
        }
        .await;
        booked.map_err(|error| Failure::again(&error))?;
        Ok(job.commit(tx).await?)
    }

    async fn record_reports(&self, job: &Running, label: &Label, books: &Books) -> Done {
        let mut tx = self.db.begin().await?;
        if let Some(number) = &label.tracking_number {
            let heard = self.hear_reports_in_tx(&mut tx, number, &books.reports).await;
            heard.map_err(|error: Error| Failure::again(&error))?;
        }
        if hear::is_over(&books.reports) {
            repo::stop_looking(&mut tx, label.id).await?;
        }
        Ok(job.commit(tx).await?)
    }
}

/// Buys a label that the books do not show, and fetches it. What is refused was not paid.
async fn buy(
    provider: &impl Provider,
    shipment: &str,
    rate: &str,
    is_wanted: bool,
) -> std::result::Result<(Bought, bytes::Bytes), ProviderError> {
    let bought = match provider.track(shipment).await.map_err(not_yet)?.bought {
        Some(bought) => bought,
        None if !is_wanted => return Err(ProviderError::Refused("the order was cancelled".to_owned())),
        None => match provider.buy_label(shipment, rate).await {
            Ok(books) => books.bought.ok_or_else(|| unseen("bought"))?,
            // It may be refused because another attempt of ours has just done it.
            Err(ProviderError::Refused(told)) => {
                let books = provider.track(shipment).await.map_err(not_yet)?;
                books.bought.ok_or(ProviderError::Refused(told))?
            }
            Err(again) => return Err(again),
        },
    };
    // From here on it is paid, and so cannot fail.
    let pdf = provider.paper(&bought).await.map_err(not_yet)?;
    Ok((bought, pdf))
}

/// What becomes of a label that is to be taken back, and why if it is not.
async fn void(
    provider: &impl Provider,
    shipment: &str,
) -> std::result::Result<(LabelStatus, Option<String>), ProviderError> {
    let refund = match provider.track(shipment).await.map_err(not_yet)?.refund {
        Some(refund) => refund,
        None => match provider.void(shipment).await {
            Ok(books) => books.refund.ok_or_else(|| unseen("taken back"))?,
            Err(ProviderError::Refused(told)) => match provider.track(shipment).await.map_err(not_yet)?.refund {
                Some(refund) => refund,
                None => return Ok((LabelStatus::Bought, Some(told))),
            },
            Err(again) => return Err(again),
        },
    };
    Ok(match refund {
        Refund::UnderWay => (LabelStatus::Voiding, None),
        Refund::Granted => (LabelStatus::Voided, None),
        Refund::Rejected => (LabelStatus::Bought, Some("the provider does not take it back".to_owned())),
    })
}

/// Whatever is wrong with a question, it tells nothing of the answer.
fn not_yet(error: ProviderError) -> ProviderError {
    ProviderError::Again(error.to_string())
}

fn unseen(what: &str) -> ProviderError {
    ProviderError::Again(format!("it was {what}, and the books do not show it yet"))
}
