//! Notices: mails to who waits for a product, to who bought, and to the operator.
//!
//! - **Invariant:** what is told is told once: a follower of the feed makes jobs in the transaction that moves it on, and
//!   those write mails in the transaction in which they end. A mail is sent until it is taken or given up.
//! - **Invariant:** who waits longest for a product is told first, and of a product no more are told than there is enough
//!   for: what somebody was told of counts as his for a day, or until it is sold.
//! - **Invariant:** an address is not kept longer than it is needed, and never by the audit trail.

mod error;
mod follow;
mod http;
mod mail;
mod model;
mod personal;
mod repo;
mod settings;
mod tell;
mod templates;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::customers::Customers;
use crate::events::{Events, Follower};
use crate::inventory::Inventory;
use crate::orders::Orders;
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::jobs::{Handlers, enqueue_in_tx};
use crate::platform::page::{Page, PageRequest};

pub use error::Error;
pub use http::router;
pub use settings::{Settings, Smtp};

use mail::Mailer;
use model::{NewSubscription, Subscription, SubscriptionStatus};
use templates::Templates;

type Result<T> = std::result::Result<T, Error>;

/// Who may wait for one product.
const MOST: i64 = 10_000;

/// Days for which what has ended is kept.
const KEPT_DAYS: i32 = 30;
const FORGOTTEN_AT_ONCE: i64 = 2000;

#[derive(Clone)]
pub struct Notices {
    db: Db,
    events: Events,
    customers: Customers,
    inventory: Inventory,
    orders: Orders,
    settings: Arc<Settings>,
    templates: Arc<Templates>,
    mailer: Option<Arc<Mailer>>,
    follower: Arc<Follower>,
    /// Whether this server has looked at all who wait, since it started
    has_looked: Arc<AtomicBool>,
}

impl Notices {
    pub fn new(
        db: Db,
        events: Events,
        customers: Customers,
        inventory: Inventory,
        orders: Orders,
        settings: Settings,
        smtp: &Smtp,
    ) -> Self {
        let templates = Templates::load(settings.templates_dir()).unwrap_or_else(|error| {
            // They were checked at the start, so somebody changed them since.
            tracing::error!(%error, "the built-in templates are used");
            Templates::load(None).expect("the built-in templates are right")
        });
        Self {
            db,
            events,
            customers,
            inventory,
            orders,
            settings: Arc::new(settings),
            templates: Arc::new(templates),
            mailer: smtp.is_on().then(|| Arc::new(Mailer::new(smtp.clone()))),
            follower: follow::follower().into(),
            has_looked: Arc::default(),
        }
    }

    /// Whether mails are written at all.
    fn is_on(&self) -> bool {
        self.mailer.is_some()
    }

    /// Its jobs are done by servers that know where mails go.
    pub fn add_handlers(&self, handlers: Handlers) -> Handlers {
        let Some(mailer) = self.mailer.clone() else { return handlers };
        let (looking, telling) = (self.clone(), self.clone());
        handlers
            .with(mail::KIND, mailer.terms(), move |job| {
                let mailer = mailer.clone();
                async move { mailer.send(&job).await }
            })
            .with(tell::LOOK, tell::TERMS, move |job| {
                let notices = looking.clone();
                async move { notices.look(&job).await }
            })
            .with(tell::ALERT, tell::TERMS, move |job| {
                let notices = telling.clone();
                async move { notices.tell_alerts(&job).await }
            })
    }

    /// Subscribes an address to a product, unless it waits already: says whether it is new. Should the product be there by
    /// now, it is told at once.
    async fn subscribe_in_tx(
        &self,
        conn: &mut PgConnection,
        sku: &str,
        new: &NewSubscription,
    ) -> Result<(Subscription, bool)> {
        let faults = new.faults();
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        // Until this ends, so whoever deletes the product finds the subscription.
        if !self.inventory.pin_product_in_tx(conn, sku).await? {
            return Err(Error::NoProduct(sku.to_owned()));
        }
        self.inventory.for_sale(conn, sku, new.channel.as_deref()).await?;
        if let Some(waits) = repo::subscriptions::of_address(conn, sku, &new.email).await? {
            return Ok((waits, false));
        }
        let many = repo::subscriptions::count(conn, sku, MOST).await?;
        if many >= MOST {
            return Err(Error::TooMany(many));
        }
        let is_new = repo::subscriptions::insert(conn, id::new(), sku, new).await?;
        if is_new && self.is_on() {
            enqueue_in_tx(conn, &[tell::look(sku)]).await?;
        }
        let waits = repo::subscriptions::of_address(conn, sku, &new.email).await?;
        Ok((waits.ok_or(sqlx::Error::RowNotFound)?, is_new))
    }

    async fn list(
        &self,
        sku: &str,
        status: Option<SubscriptionStatus>,
        page: PageRequest<i64>,
    ) -> Result<Page<Subscription>> {
        let mut conn = self.db.conn().await?;
        let found = self.inventory.for_sale(&mut conn, sku, None).await?;
        found.ok_or_else(|| Error::NoProduct(sku.to_owned()))?;
        let status = status.map(SubscriptionStatus::as_str);
        let rows = repo::subscriptions::list(&mut conn, sku, status, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.seq))
    }

    async fn get(&self, id: Uuid) -> Result<Subscription> {
        let found = repo::subscriptions::find(&mut *self.db.conn().await?, id).await?;
        found.ok_or(Error::NoSubscription(id))
    }

    async fn lock_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Subscription> {
        repo::subscriptions::lock(conn, id).await?.ok_or(Error::NoSubscription(id))
    }

    async fn unsubscribe_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<()> {
        Ok(repo::subscriptions::delete(conn, id).await?)
    }

    /// Deletes some of what ended too long ago, and who waits for what is no longer sold: where no mails are written, nobody
    /// follows the news of that. Says whether there may be more.
    pub async fn forget_old(&self) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let skus = repo::subscriptions::all_skus(&mut tx).await?;
        let unknown = self.inventory.unknown_skus(&mut tx, &skus).await?;
        if !unknown.is_empty() {
            repo::subscriptions::delete_of_products(&mut tx, &unknown).await?;
        }
        let subscriptions = repo::subscriptions::forget(&mut tx, KEPT_DAYS, FORGOTTEN_AT_ONCE).await?;
        repo::subscriptions::forget_promises(&mut tx, tell::PROMISED_HOURS).await?;
        let alerts = repo::alerts::forget(&mut tx, KEPT_DAYS, FORGOTTEN_AT_ONCE).await?;
        tx.commit().await?;
        Ok(subscriptions.max(alerts) == FORGOTTEN_AT_ONCE.unsigned_abs())
    }
}
