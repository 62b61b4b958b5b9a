//! The feed, brought to message brokers: to NATS JetStream, and to MQTT for devices on the shop floor; and what these
//! report, brought in.
//!
//! Each broker has a [`link`], which goes on from a stored position: at least once, in the order of the feed. Where several
//! servers run, one of them feeds a broker, and another takes over within seconds when it is gone.

mod address;
mod backoff;
mod hold;
mod http;
mod link;
mod message;
mod mqtt;
mod nats;
mod repo;
mod reports;
mod settings;
mod tls;

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::events::{Events, Filter};
use crate::feeds::Feeds;
use crate::lifecycle::Shutdown;
use crate::platform::clock::Timestamp;
use crate::platform::db::Db;
use crate::platform::schema::Schemas;

pub use http::router;
pub use settings::{Mqtt, Nats, Settings};

use hold::Hold;
use link::{Broker, Link};
use reports::Reports;

/// The link by which devices report.
const REPORTS: &str = "mqtt_reports";

/// A broker that the feed goes to, or that brings reports
#[derive(Debug, Serialize, ToSchema)]
pub struct BrokerState {
    /// `nats`, `mqtt`, or `mqtt_reports` for the other direction
    #[schema(example = "nats")]
    pub name: &'static str,
    /// Where it is
    #[schema(example = "nats://nats.example.com:4222")]
    pub url: String,
    /// Whether a server of ours is connected to it and it works
    pub connected: bool,
    /// It has all events up to this `sequence`, as far as they are for it; null before it was first reached, and of reports
    #[schema(example = "00000000000000000042")]
    pub sequence: Option<String>,
    /// How far that is behind the end of the feed, counted in positions: events are at most as many
    pub lag: Option<i64>,
    /// What went wrong last, though it may be well again
    pub last_error: Option<String>,
    /// When one of these changed
    pub updated_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"items": [{
    "name": "nats", "url": "nats://nats.example.com:4222", "connected": true, "sequence": "00000000000000000042",
    "lag": 0, "last_error": null, "updated_at": "2026-01-31T12:00:00.000Z"}]}))]
pub struct BrokerStates {
    pub items: Vec<BrokerState>,
}

#[derive(Clone)]
pub struct Brokers {
    db: Db,
    events: Events,
    feeds: Feeds,
    settings: Settings,
}

impl Brokers {
    pub fn new(db: Db, events: Events, feeds: Feeds, settings: Settings) -> Self {
        Self { db, events, feeds, settings }
    }

    /// Works for the brokers until the server stops. `schemas` are asked for where devices may report.
    pub async fn run(self, schemas: impl FnOnce() -> Arc<Schemas>, shutdown: Shutdown) {
        let Settings { nats, mqtt } = self.settings.clone();
        let reports = mqtt.clone().filter(|mqtt| mqtt.reports).map(|mqtt| {
            let (hold, feeds) = (Hold::new(REPORTS, self.db.clone()), self.feeds.clone());
            hold::run(Reports { hold, mqtt, feeds, schemas: schemas() }, shutdown.clone())
        });
        let nats = nats.map(|nats| {
            let (filter, from) = (nats.filter(), nats.from);
            hold::run(self.link("nats", nats, filter, from), shutdown.clone())
        });
        let mqtt = mqtt.map(|mqtt| {
            let (filter, from) = (mqtt.filter(), mqtt.from);
            hold::run(self.link("mqtt", mqtt, filter, from), shutdown.clone())
        });
        futures::join!(maybe(nats), maybe(mqtt), maybe(reports));
    }

    fn link<B: Broker>(&self, name: &'static str, broker: B, filter: Filter, from: settings::From) -> Link<B> {
        Link { hold: Hold::new(name, self.db.clone()), broker, filter, from, events: self.events.clone() }
    }

    /// How it is with each broker, whichever server feeds it.
    pub async fn states(&self) -> sqlx::Result<BrokerStates> {
        let Settings { nats, mqtt } = &self.settings;
        let reports = mqtt.as_ref().filter(|mqtt| mqtt.reports);
        let urls = [
            ("nats", nats.as_ref().map(|it| &it.url)),
            ("mqtt", mqtt.as_ref().map(|it| &it.url)),
            (REPORTS, reports.map(|it| &it.url)),
        ];
        let end = self.events.position().await?;
        let stored = repo::links(&mut *self.db.conn().await?).await?;
        let items = urls.into_iter().filter_map(|(name, url)| {
            let link = stored.iter().find(|link| link.name == name);
            let fed = link.filter(|_| name != REPORTS);
            Some(BrokerState {
                name,
                url: url?.clone(),
                connected: link.is_some_and(|link| link.connected),
                sequence: fed.map(|link| format!("{:020}", link.position)),
                lag: fed.map(|link| (end - link.position).max(0)),
                last_error: link.and_then(|link| link.last_error.clone()),
                updated_at: link.map(|link| link.updated_at),
            })
        });
        Ok(BrokerStates { items: items.collect() })
    }
}

async fn maybe(work: Option<impl Future<Output = ()>>) {
    if let Some(work) = work {
        work.await;
    }
}
