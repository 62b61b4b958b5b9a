//! How messages get to their endpoints.
//!
//! 1. *Fan out*: a follower of the feed queues a message for each endpoint that wants an event, in the transaction that
//!    moves it on. So each is queued once.
//! 2. *Claim*: a server takes what is due for the time of a lease. When it dies, another takes it after that.
//! 3. *Send*, with no transaction open, and *record* how it went.
//!
//! **Invariant:** of one subject, an endpoint gets a message only when it has taken all that were before it, or
//! they were given up.
//!
//! A message may arrive twice, when a server dies between the answer and the record; its `webhook-id` is the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use rand::RngExt;
use serde_json::json;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::model::{DISABLE, GIVE_UP, Outcome, kept, wait};
use super::repo::deliveries::{Due, NewDelivery};
use super::{Webhooks, repo};
use crate::events::{Event, Events, Follower};
use crate::lifecycle::Shutdown;
use crate::platform::clock::Timestamp;

/// Events read at once.
const STRETCH: i64 = 500;

/// Between two looks for what is due.
const PAUSE: Duration = Duration::from_millis(100);

/// Messages under way at once, of one server.
const AT_ONCE: usize = 256;

/// What is under way when a server stops has so long; the rest is taken up by another.
const DRAIN: Duration = Duration::from_secs(5);

pub fn follower() -> Follower {
    Follower::of_all("webhooks")
}

impl Webhooks {
    /// Queues messages for new events. Says whether there is more.
    pub async fn fan_out(&self) -> sqlx::Result<bool> {
        if repo::endpoints::listeners(&mut *self.db.conn().await?).await?.is_empty() {
            return Ok(false);
        }
        let Some(horizon) = self.events.ahead_of(&self.follower).await? else { return Ok(false) };
        let mut tx = self.db.begin().await?;
        // Read after the horizon: who came since then begins after it.
        let listeners = repo::endpoints::listeners(&mut tx).await?;
        if listeners.is_empty() {
            tx.rollback().await?;
            return Ok(false);
        }
        let Some(taken) = self.events.take_in_tx(&mut tx, &self.follower, horizon, STRETCH).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        let bodies: Vec<String> = taken.events.iter().map(|event| json!(event).to_string()).collect();
        let mut new = Vec::new();
        for (event, body) in taken.events.iter().zip(&bodies) {
            let wanted = listeners.iter().filter(|l| event.position > l.begins_after && l.filter.wants(event));
            new.extend(wanted.map(|listener| NewDelivery {
                endpoint: listener.id,
                message: event.id,
                r#type: &event.r#type,
                subject: &event.subject,
                body,
            }));
        }
        if !new.is_empty() {
            repo::deliveries::insert(&mut tx, "event", &new).await?;
        }
        tx.commit().await?;
        Ok(self.follower.has_taken(&taken))
    }

    /// Sends what is due until the server stops.
    pub async fn deliver(self, shutdown: Shutdown) {
        let (mut tasks, in_flight) = (JoinSet::new(), InFlight::default());
        while !shutdown.has_started() {
            while tasks.try_join_next().is_some() {}
            let pause = match self.claim(&in_flight, AT_ONCE - tasks.len().min(AT_ONCE)).await {
                Ok(due) => {
                    for due in due {
                        let (webhooks, place) = (self.clone(), in_flight.enter(due.endpoint));
                        tasks.spawn(async move {
                            webhooks.send(&due).await;
                            drop(place);
                        });
                    }
                    PAUSE
                }
                Err(error) => {
                    tracing::warn!(worker = "webhooks", %error, "turn failed; trying again");
                    Duration::from_secs(1)
                }
            };
            metrics::gauge!("stockhold_webhooks_under_way").set(tasks.len() as f64);
            tokio::select! {
                () = shutdown.started() => {}
                () = tokio::time::sleep(pause) => {}
                // A place is free, and more may be due.
                Some(_) = tasks.join_next(), if tasks.len() >= AT_ONCE => {}
            }
        }
        let done = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, done).await;
    }

    async fn claim(&self, in_flight: &InFlight, room: usize) -> sqlx::Result<Vec<Due>> {
        let waiting = repo::deliveries::waiting(&mut *self.db.conn().await?).await?;
        let mut left = room;
        let (mut endpoints, mut rooms) = (Vec::new(), Vec::new());
        for endpoint in waiting {
            let room = self.settings.at_once.saturating_sub(in_flight.of(endpoint)).min(left);
            if room > 0 {
                left -= room;
                endpoints.push(endpoint);
                rooms.push(i64::try_from(room).unwrap_or(i64::MAX));
            }
        }
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.db.begin().await?;
        let due = repo::deliveries::claim(&mut tx, &endpoints, &rooms, self.settings.lease()).await?;
        tx.commit().await?;
        Ok(due)
    }

    async fn send(&self, due: &Due) {
        let begun = Instant::now();
        let mut outcome = match self.call(due).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome { error: Some(kept(error.as_bytes())), ..Outcome::default() },
        };
        outcome.milliseconds = i32::try_from(begun.elapsed().as_millis()).unwrap_or(i32::MAX);
        let told = if outcome.is_delivered() { "delivered" } else { "failed" };
        metrics::counter!("stockhold_webhook_attempts_total", "outcome" => told).increment(1);
        if let Err(error) = self.record(due, &outcome).await {
            tracing::warn!(%error, delivery = %due.id, "how a message went could not be recorded; it will be sent again");
        }
    }

    async fn call(&self, due: &Due) -> Result<Outcome, String> {
        let headers = headers(due)?;
        let body = due.body.clone().into();
        let answer =
            self.outbound.post(&due.url, headers, body, self.settings.timeout()).await.map_err(|e| e.told())?;
        let asked = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Outcome {
            status: i16::try_from(answer.status.as_u16()).ok(),
            answer: Some(kept(&answer.body)),
            retry_after: asked.map(Duration::from_secs),
            ..Outcome::default()
        })
    }

    async fn record(&self, due: &Due, outcome: &Outcome) -> sqlx::Result<()> {
        let first = Duration::from_secs(self.settings.retry_seconds);
        let wait = wait(first, due.attempt, outcome.retry_after, rand::rng().random());
        let mut tx = self.db.begin().await?;
        let failing = repo::deliveries::record(&mut tx, due, outcome, wait, GIVE_UP).await?;
        let is_failing = failing.is_some_and(|seconds| seconds > DISABLE.as_secs_f64());
        let why = match () {
            () if outcome.is_gone() => Some("gone"),
            () if is_failing && !outcome.is_delivered() => Some("failing"),
            () => None,
        };
        if let Some(why) = why
            && repo::endpoints::disable(&mut tx, due.endpoint, why).await?
        {
            let data = json!({ "id": due.endpoint, "url": due.url, "why": why });
            let subject = format!("webhooks/{}", due.endpoint);
            Events::publish_in_tx(&mut tx, &[Event::new("webhook.disabled", subject, &data)]).await?;
            tracing::warn!(webhook = %due.endpoint, why, "a webhook was disabled");
        }
        tx.commit().await
    }
}

/// As Standard Webhooks asks for: <https://github.com/standard-webhooks/standard-webhooks>.
fn headers(due: &Due) -> Result<HeaderMap, String> {
    let (id, now) = (due.message.to_string(), Timestamp::now().0.timestamp());
    let mut signatures = Vec::new();
    for secret in &due.secrets {
        let signer = standardwebhooks::Webhook::new(secret).map_err(|error| error.to_string())?;
        signatures.push(signer.sign(&id, now, due.body.as_bytes()).map_err(|error| error.to_string())?);
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static(HEADER_WEBHOOK_ID), value(&id)?);
    headers.insert(HeaderName::from_static(HEADER_WEBHOOK_TIMESTAMP), value(&now.to_string())?);
    headers.insert(HeaderName::from_static(HEADER_WEBHOOK_SIGNATURE), value(&signatures.join(" "))?);
    Ok(headers)
}

/// Messages under way to each endpoint.
#[derive(Clone, Default)]
struct InFlight(Arc<Mutex<HashMap<Uuid, usize>>>);

/// One of them, until it is dropped.
struct Place(InFlight, Uuid);

impl InFlight {
    fn of(&self, endpoint: Uuid) -> usize {
        self.0.lock().expect("never poisoned").get(&endpoint).copied().unwrap_or(0)
    }

    fn enter(&self, endpoint: Uuid) -> Place {
        *self.0.lock().expect("never poisoned").entry(endpoint).or_default() += 1;
        Place(self.clone(), endpoint)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().expect("never poisoned");
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
