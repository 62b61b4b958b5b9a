//! What follows from the news, written down once: a follower of the feed makes jobs, and lines for the operator, in the
//! transaction that moves it on.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use sqlx::PgConnection;
use uuid::Uuid;

use super::mail::Mail;
use super::repo::{self, alerts::Line};
use super::templates::{BuiltIn, ORDER_CANCELLED, ORDER_PLACED, ORDER_SHIPPED};
use super::{Notices, Result, model, tell};
use crate::events::{Follower, PublishedEvent};
use crate::platform::jobs::{NewJob, enqueue_in_tx};

/// Events read at once.
const STRETCH: i64 = 500;

/// Changes after which stock that was there may be for sale elsewhere.
const DIRECTORY: &[&str] = &["warehouse.updated", "channel.updated"];

pub fn follower() -> Follower {
    Follower::of_all("notices")
}

impl Notices {
    /// Takes note of new events, where mails are written at all. Says whether there is more.
    pub async fn follow(&self) -> Result<bool> {
        if !self.is_on() {
            return self.leave().await;
        }
        let Some(horizon) = self.events.ahead_of(&self.follower).await? else { return Ok(false) };
        let mut tx = self.db.begin().await?;
        let Some(taken) = self.events.take_in_tx(&mut tx, &self.follower, horizon, STRETCH).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        let mut jobs = Vec::new();
        self.of_products(&mut tx, &taken.events, &mut jobs).await?;
        self.of_alerts(&mut tx, &taken.events, &mut jobs).await?;
        self.of_orders(&mut tx, &taken.events, &mut jobs).await?;
        enqueue_in_tx(&mut tx, &jobs).await?;
        tx.commit().await?;
        self.has_looked.store(true, Relaxed);
        Ok(self.follower.has_taken(&taken))
    }

    /// What happens while no mails are written is no news when they are.
    async fn leave(&self) -> Result<bool> {
        if !self.has_looked.load(Relaxed) {
            let mut tx = self.db.begin().await?;
            self.events.leave_in_tx(&mut tx, &self.follower).await?;
            tx.commit().await?;
            self.has_looked.store(true, Relaxed);
        }
        Ok(false)
    }

    /// A look for each product of which more or less can be sold, and that somebody waits for. Of what was deleted, nobody stays.
    async fn of_products(
        &self,
        conn: &mut PgConnection,
        events: &[PublishedEvent],
        jobs: &mut Vec<NewJob>,
    ) -> sqlx::Result<()> {
        let deleted = events.iter().filter(|event| event.r#type == "product.deleted");
        let deleted: Vec<String> = deleted.filter_map(|event| event.data["sku"].as_str().map(str::to_owned)).collect();
        if !deleted.is_empty() {
            repo::subscriptions::delete_of_products(conn, &deleted).await?;
        }
        let changed: BTreeSet<&str> = events.iter().filter_map(model::changed).collect();
        let changed: Vec<String> = changed.into_iter().map(str::to_owned).collect();
        // Also when mails were off until now.
        let look_at_all =
            !self.has_looked.load(Relaxed) || events.iter().any(|e| DIRECTORY.contains(&e.r#type.as_str()));
        let waited_for = match (look_at_all, changed.is_empty()) {
            (true, _) => repo::subscriptions::all_waited_for(conn).await?,
            (false, true) => Vec::new(),
            (false, false) => repo::subscriptions::waited_for(conn, &changed).await?,
        };
        jobs.extend(waited_for.iter().map(|sku| tell::look(sku)));
        Ok(())
    }

    async fn of_alerts(
        &self,
        conn: &mut PgConnection,
        events: &[PublishedEvent],
        jobs: &mut Vec<NewJob>,
    ) -> sqlx::Result<()> {
        if self.settings.alert_to().next().is_none() {
            return Ok(());
        }
        let lines = events.iter().filter_map(|event| Some(Line { event_id: event.id, line: model::alert(event)? }));
        let lines: Vec<Line> = lines.collect();
        if !lines.is_empty() {
            repo::alerts::insert(conn, &lines).await?;
            jobs.push(tell::alerts());
        }
        Ok(())
    }

    async fn of_orders(
        &self,
        conn: &mut PgConnection,
        events: &[PublishedEvent],
        jobs: &mut Vec<NewJob>,
    ) -> sqlx::Result<()> {
        if !self.settings.order_mails {
            return Ok(());
        }
        let told = events.iter().filter_map(|event| Some((event, order_mail(event)?)));
        let told: Vec<(&PublishedEvent, &BuiltIn)> = told.collect();
        let ids: Vec<Uuid> = told.iter().filter_map(|(event, _)| order_id(event)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        // A shipment's news do not say who bought.
        let buyers = self.orders.buyers(conn, &ids).await?;
        let known: Vec<Uuid> = buyers.values().filter_map(|(id, _)| *id).collect();
        let refusing = self.customers.refusing_updates(conn, &known).await?;
        for (event, template) in told {
            let Some((known, buyer)) = order_id(event).and_then(|id| buyers.get(&id)) else { continue };
            if known.is_some_and(|id| refusing.contains(&id)) {
                continue;
            }
            let Some(to) = &buyer.email else { continue };
            let name = buyer.name.as_deref().unwrap_or("customer");
            jobs.push(self.mail_of_order(event, template, to, name).job());
        }
        Ok(())
    }

    fn mail_of_order(&self, event: &PublishedEvent, template: &BuiltIn, to: &str, customer: &str) -> Mail {
        let data = &event.data;
        let of = |name: &str| data[name].as_str().unwrap_or_default();
        let of_shipment = |name: &str| data["shipment"][name].as_str().unwrap_or_default();
        let is_shipment = data.get("shipment").is_some();
        let number = if is_shipment { data["order_number"].to_string() } else { data["number"].to_string() };
        let lines = model::lines(if is_shipment { &data["shipment"]["lines"] } else { &data["lines"] });
        let (subject, text) = self.templates.render(
            template,
            &[
                ("number", &number),
                ("customer", customer),
                ("lines", &lines),
                ("reason", of("cancel_reason")),
                ("carrier", of_shipment("carrier")),
                ("tracking_number", of_shipment("tracking_number")),
            ],
        );
        Mail { about: format!("{}.{}", event.id, template.name), to: to.to_owned(), subject, text }
    }
}

fn order_mail(event: &PublishedEvent) -> Option<&'static BuiltIn> {
    match event.r#type.as_str() {
        "order.placed" => Some(ORDER_PLACED),
        "shipment.shipped" => Some(ORDER_SHIPPED),
        "order.cancelled" => Some(ORDER_CANCELLED),
        _ => None,
    }
}

fn order_id(event: &PublishedEvent) -> Option<Uuid> {
    event.subject.strip_prefix("orders/")?.parse().ok()
}
