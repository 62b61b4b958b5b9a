//! The jobs that write mails. Each does so in the transaction in which it ends, so everybody is told once, whatever dies.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::mail::Mail;
use super::model::{Available, Waiting};
use super::templates::{ALERTS, BACK_IN_STOCK};
use super::{Notices, Result, model, repo};
use crate::inventory;
use crate::platform::jobs::{Failure, NewJob, Running, Terms, enqueue_in_tx};

pub const LOOK: &str = "back_in_stock";
pub const ALERT: &str = "alerts";

pub const TERMS: Terms = Terms { at_once: 2, timeout: Duration::from_secs(30), retry: Duration::from_secs(5) };

/// Subscriptions looked at in one transaction.
const AT_ONCE: i64 = 500;

/// Lines of one mail.
const LINES: i64 = 1000;

/// Hours for which stock counts as promised to those who were told of it. Then the next are told.
pub const PROMISED_HOURS: i32 = 24;

/// A look at who waits for a product.
#[derive(Debug, Serialize, Deserialize)]
struct Look {
    sku: String,
}

/// Who waits for a product is told as far as there is enough of it.
pub fn look(sku: &str) -> NewJob {
    NewJob { key: Some(sku.to_owned()), ..NewJob::new(LOOK, &Look { sku: sku.to_owned() }) }
}

/// The same, when those who were told have had their time.
fn look_later(sku: &str) -> NewJob {
    let hours = u64::from(PROMISED_HOURS.unsigned_abs());
    NewJob { key: Some(format!("{sku} later")), after: Duration::from_secs(hours * 3600 + 60), ..look(sku) }
}

/// The operator is told what he was not told yet.
pub fn alerts() -> NewJob {
    NewJob { key: Some(String::new()), ..NewJob::new(ALERT, &()) }
}

impl Notices {
    pub(super) async fn look(&self, job: &Running) -> std::result::Result<(), Failure> {
        let look: Look = job.payload()?;
        let mut tx = self.db.begin().await?;
        // First: so nobody who wants another look goes unseen.
        if !job.finish_in_tx(&mut tx).await? {
            tx.rollback().await?;
            return Ok(());
        }
        self.look_in_tx(&mut tx, &look).await.map_err(|error| Failure::again(&error))?;
        tx.commit().await?;
        Ok(())
    }

    async fn look_in_tx(&self, conn: &mut PgConnection, look: &Look) -> Result<()> {
        let sku = &look.sku;
        let waiting = repo::subscriptions::lock_waiting(conn, sku, AT_ONCE).await?;
        let (name, available) = self.for_sale(conn, sku, &waiting).await?;
        // What was promised and is not there any more was bought.
        let before = repo::subscriptions::promised(conn, sku, PROMISED_HOURS).await?;
        let promised = before.min(available[&None]);
        let told = model::tell(&waiting, &available, promised);
        if told.promised != before {
            repo::subscriptions::promise(conn, sku, told.promised, told.promised > promised).await?;
        }
        let mut jobs = Vec::new();
        for place in &told.places {
            let one = &waiting[*place];
            let quantity = one.quantity.to_string();
            let values = [("sku", sku.as_str()), ("name", &name), ("quantity", &quantity)];
            let (subject, text) = self.templates.render(BACK_IN_STOCK, &values);
            jobs.push(Mail { about: format!("{}.back_in_stock", one.id), to: one.email.clone(), subject, text }.job());
        }
        let ids: Vec<Uuid> = told.places.iter().map(|place| waiting[*place].id).collect();
        repo::subscriptions::notified(conn, &ids).await?;
        if told.is_short && told.promised > 0 {
            jobs.push(look_later(sku));
        } else if i64::try_from(waiting.len()).is_ok_and(|n| n == AT_ONCE) {
            jobs.push(self::look(sku));
        }
        Ok(enqueue_in_tx(conn, &jobs).await?)
    }

    /// What the product is called, and how much of it can be sold: where they wait for it, and in all places.
    async fn for_sale(&self, conn: &mut PgConnection, sku: &str, waiting: &[Waiting]) -> Result<(String, Available)> {
        let channels: BTreeSet<Option<String>> = waiting.iter().map(|one| one.channel.clone()).chain([None]).collect();
        let (mut available, mut called) = (Available::new(), sku.to_owned());
        for channel in channels {
            let found = match self.inventory.for_sale(conn, sku, channel.as_deref()).await {
                // A channel that is gone sells nothing.
                Err(inventory::Error::NoChannel(_)) => None,
                found => found?,
            };
            let (name, quantity) = found.unwrap_or((called, 0));
            called = name;
            available.insert(channel, quantity);
        }
        Ok((called, available))
    }

    pub(super) async fn tell_alerts(&self, job: &Running) -> std::result::Result<(), Failure> {
        let mut tx = self.db.begin().await?;
        if !job.finish_in_tx(&mut tx).await? {
            tx.rollback().await?;
            return Ok(());
        }
        let wait = repo::alerts::seconds_to_wait(&mut tx, self.settings.gather_seconds as f64).await?;
        let mut jobs = Vec::new();
        if wait > 0.0 {
            jobs.push(NewJob { after: Duration::from_secs_f64(wait), ..alerts() });
        } else {
            let lines = repo::alerts::take(&mut tx, LINES).await?;
            if let Some(first) = lines.first() {
                let count = lines.len().to_string();
                let text = lines.iter().map(|line| line.line.as_str()).collect::<Vec<_>>().join("\n");
                let (subject, text) = self.templates.render(ALERTS, &[("count", &count), ("lines", &text)]);
                let about = format!("{}.alerts", first.event_id);
                let mail = |to: &str| {
                    let (about, subject, text) = (about.clone(), subject.clone(), text.clone());
                    Mail { about, to: to.to_owned(), subject, text }.job()
                };
                jobs.extend(self.settings.alert_to().map(mail));
            }
            if i64::try_from(lines.len()).is_ok_and(|n| n == LINES) {
                jobs.push(alerts());
            }
        }
        enqueue_in_tx(&mut tx, &jobs).await?;
        tx.commit().await?;
        Ok(())
    }
}
