//! Webhooks: endpoints of others that are told of events, by Standard Webhooks.
//!
//! - **Invariant:** every event that an endpoint wants is queued for it once, and sent until it is taken or given up.
//! - **Invariant:** an endpoint that hangs or fails delays no other.
//! - **Invariant:** only public addresses are called, and those that the operator allows.

mod deliver;
mod error;
mod http;
mod model;
mod repo;
mod settings;

use std::sync::Arc;

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::events::{Events, Follower};
use crate::platform::clock::Timestamp;
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::outbound::Outbound;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Fault;

pub use error::Error;
pub use http::router;
pub use settings::Settings;

use model::{DeliveryLog, DeliveryStatus, NewWebhook, Replay, Replayed, Webhook, WebhookDelivery, new_secret};
use repo::deliveries::NewDelivery;

type Result<T> = std::result::Result<T, Error>;

/// Each has a share of every event.
const MOST: i64 = 100;

/// Events that one replay takes.
const REPLAYED: u64 = 10_000;
const REPLAYED_AT_ONCE: usize = 500;

/// Old deliveries deleted at once.
const FORGOTTEN_AT_ONCE: i64 = 2000;

#[derive(Clone)]
pub struct Webhooks {
    db: Db,
    events: Events,
    outbound: Outbound,
    settings: Arc<Settings>,
    follower: Arc<Follower>,
}

impl Webhooks {
    pub fn new(db: Db, events: Events, settings: Settings) -> Self {
        let outbound = Outbound::new(settings.allow_networks.clone());
        Self { db, events, outbound, settings: Arc::new(settings), follower: deliver::follower().into() }
    }

    async fn list(&self, page: PageRequest<Uuid>) -> Result<Page<Webhook>> {
        let rows = repo::endpoints::list(&mut *self.db.conn().await?, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    async fn get(&self, id: Uuid) -> Result<Webhook> {
        self.get_in_tx(&mut *self.db.conn().await?, id).await
    }

    async fn get_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Webhook> {
        repo::endpoints::find(conn, id).await?.ok_or(Error::NoWebhook(id))
    }

    async fn lock_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Webhook> {
        repo::endpoints::lock(conn, id).await?;
        self.get_in_tx(conn, id).await
    }

    fn check(&self, fields: &NewWebhook) -> Result<()> {
        match self.outbound.faults(&fields.url) {
            Some(detail) => Err(Error::Invalid(vec![Fault::new("/url", "not_callable", detail)])),
            None => Ok(()),
        }
    }

    /// Makes an endpoint, and its secret. It is told of what happens from now on.
    async fn create_in_tx(&self, conn: &mut PgConnection, new: &NewWebhook) -> Result<(Webhook, String)> {
        self.check(new)?;
        let many = repo::endpoints::count(conn).await?;
        if many >= MOST {
            return Err(Error::TooMany(many));
        }
        let (id, secret) = (id::new(), new_secret());
        let now_at = self.begin_in_tx(conn).await?;
        repo::endpoints::insert(conn, id, new, &secret, now_at).await?;
        Ok((self.get_in_tx(conn, id).await?, secret))
    }

    async fn update_in_tx(&self, conn: &mut PgConnection, id: Uuid, fields: &NewWebhook) -> Result<Webhook> {
        self.check(fields)?;
        let now_at = self.begin_in_tx(conn).await?;
        repo::endpoints::update(conn, id, fields, now_at).await?;
        self.get_in_tx(conn, id).await
    }

    /// The position after which an endpoint is told of events that is made or enabled now. Where nobody listens, what was
    /// before is not gone through.
    async fn begin_in_tx(&self, conn: &mut PgConnection) -> Result<i64> {
        let now_at = self.events.position().await?;
        if repo::endpoints::listeners(conn).await?.is_empty() {
            self.events.skip_in_tx(conn, &self.follower, now_at).await?;
        }
        Ok(now_at)
    }

    async fn delete_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<()> {
        Ok(repo::endpoints::delete(conn, id).await?)
    }

    async fn rotate_in_tx(&self, conn: &mut PgConnection, id: Uuid, overlap_hours: i32) -> Result<(Webhook, String)> {
        let secret = new_secret();
        repo::endpoints::rotate(conn, id, &secret, overlap_hours).await?;
        Ok((self.get_in_tx(conn, id).await?, secret))
    }

    /// Queues a message that says nothing but that it arrived.
    async fn test_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<WebhookDelivery> {
        let (message, subject) = (id::new(), format!("webhooks/{id}"));
        let body = json!({
            "id": message, "specversion": "1.0", "source": "/stockhold", "type": "webhook.test", "time": Timestamp::now(),
            "subject": subject, "data": { "webhook": id },
        });
        let body = body.to_string();
        let new = NewDelivery { endpoint: id, message, r#type: "webhook.test", subject: &subject, body: &body };
        let ids = repo::deliveries::insert(conn, "test", &[new]).await?;
        self.delivery_in_tx(conn, id, ids[0]).await
    }

    /// Queues a message once more, behind all that waits.
    async fn redeliver_in_tx(&self, conn: &mut PgConnection, id: Uuid, delivery: Uuid) -> Result<WebhookDelivery> {
        let again = repo::deliveries::again(conn, id, delivery).await?.ok_or(Error::NoDelivery(delivery))?;
        self.delivery_in_tx(conn, id, again).await
    }

    /// Queues what happened in a time once more, as far as the endpoint wants it.
    async fn replay_in_tx(&self, conn: &mut PgConnection, webhook: &Webhook, replay: &Replay) -> Result<Replayed> {
        let mut position = self.events.position_before(replay.from).await?;
        let end = match replay.to {
            Some(to) => self.events.position_before(to).await?,
            None => self.events.position().await?,
        };
        let mut deliveries = 0;
        while position < end {
            let stretch = self.events.read(position, REPLAYED_AT_ONCE, &webhook.fields.filter).await?;
            if deliveries >= REPLAYED {
                let more_from = stretch.events.first().map(|event| event.time);
                return Ok(Replayed { deliveries, more_from });
            }
            let events: Vec<_> = stretch.events.iter().filter(|event| event.position <= end).collect();
            let bodies: Vec<String> = events.iter().map(|event| json!(event).to_string()).collect();
            let new = events.iter().zip(&bodies).map(|(event, body)| NewDelivery {
                endpoint: webhook.id,
                message: event.id,
                r#type: &event.r#type,
                subject: &event.subject,
                body,
            });
            let new: Vec<NewDelivery> = new.collect();
            deliveries += repo::deliveries::insert(conn, "replay", &new).await?.len() as u64;
            if stretch.position <= position {
                break;
            }
            position = stretch.position;
        }
        Ok(Replayed { deliveries, more_from: None })
    }

    async fn deliveries(
        &self,
        id: Uuid,
        status: Option<DeliveryStatus>,
        page: PageRequest<Uuid>,
    ) -> Result<Page<WebhookDelivery>> {
        let mut conn = self.db.conn().await?;
        self.get_in_tx(&mut conn, id).await?;
        let status = status.map(DeliveryStatus::as_str);
        let rows = repo::deliveries::list(&mut conn, id, status, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    async fn delivery_log(&self, id: Uuid, delivery: Uuid) -> Result<DeliveryLog> {
        let mut conn = self.db.conn().await?;
        let found = repo::deliveries::find(&mut conn, id, delivery).await?;
        let (delivery, body) = found.ok_or(Error::NoDelivery(delivery))?;
        let log = repo::deliveries::attempts(&mut conn, delivery.id).await?;
        let body = serde_json::from_str(&body).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(DeliveryLog { delivery, body, log })
    }

    async fn delivery_in_tx(&self, conn: &mut PgConnection, id: Uuid, delivery: Uuid) -> Result<WebhookDelivery> {
        let found = repo::deliveries::find(conn, id, delivery).await?;
        Ok(found.ok_or(Error::NoDelivery(delivery))?.0)
    }

    /// Deletes some of the log that is too old. Says whether there may be more.
    pub async fn forget_old(&self) -> sqlx::Result<bool> {
        let mut tx = self.db.begin().await?;
        let forgotten = repo::deliveries::forget(&mut tx, self.settings.log_days, FORGOTTEN_AT_ONCE).await?;
        tx.commit().await?;
        Ok(forgotten == FORGOTTEN_AT_ONCE.unsigned_abs())
    }
}
