//! NATS JetStream. Each event is a message whose id is the event's, so that the stream drops what it has already.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::{self, Context, stream};
use async_nats::{Auth, AuthError, ConnectOptions, Event, HeaderMap, ServerAddr};
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::watch;

use super::hold::Failure;
use super::link::{Broker, Connection};
use super::settings::Nats;
use super::{address, message, tls};
use crate::events::PublishedEvent;

/// Within which the broker has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream that is made here drops what it was sent again within this time: longer than a broker's restart takes.
const DUPLICATES: Duration = Duration::from_secs(5 * 60);

/// And keeps events as long as the feed does, unless that is set otherwise: without an end, it would fill the disk.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the headers of a message take.
const HEADERS: usize = 200;

impl Broker for Nats {
    type Connection = Session;

    async fn connect(&self, feed: i64) -> Result<Session, Failure> {
        let addresses: Result<Vec<ServerAddr>, _> = self.urls().map(str::parse).collect();
        let addresses = addresses.map_err(|error| Failure::of(&error))?;
        let (tell, state) = watch::channel(State::default());
        let mut options = self
            .credentials()
            .name("stockhold")
            .connection_timeout(PATIENCE)
            .reconnect_delay_callback(|_| Duration::ZERO)
            .max_reconnects(addresses.len())
            .ping_interval(PATIENCE)
            .event_callback(move |event| {
                let tell = tell.clone();
                async move { tell.send_modify(|state| state.hear(&event)) }
            });
        if self.urls().any(|url| url.starts_with("tls:")) {
            options = options.tls_client_config(tls::client(self.ca.as_deref()).await?);
        }
        let client = options.connect(addresses).await.map_err(|error| Failure::of(&error))?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(PATIENCE);
        let stream = jetstream.get_or_create_stream(stream::Config {
            name: self.stream.clone(),
            subjects: vec![format!("{}.>", self.subject_prefix)],
            duplicate_window: DUPLICATES,
            max_age: KEPT,
            ..stream::Config::default()
        });
        let stream = stream.await.map_err(|error| Failure::of(&error))?;
        // 0 or less is no limit of the stream's own.
        let own = usize::try_from(stream.cached_info().config.max_message_size).ok().filter(|bytes| *bytes > 0);
        let limit = client.max_payload().min(own.unwrap_or(usize::MAX)).min(message::MAX_BYTES);
        Ok(Session {
            jetstream,
            state,
            prefix: self.subject_prefix.clone(),
            feed,
            limit: limit.saturating_sub(HEADERS),
        })
    }
}

impl Nats {
    /// The credentials are given once. async-nats connects again by itself, and would then send what the lost connection
    /// left in its buffers, between or after what is sent anew.
    fn credentials(&self) -> ConnectOptions {
        let mut auth = Auth::new();
        auth.username.clone_from(&self.user);
        auth.password = self.password.as_ref().map(|password| password.0.clone());
        auth.token = self.token.as_ref().map(|token| token.0.clone());
        let is_given = Arc::new(AtomicBool::new(false));
        ConnectOptions::with_auth_callback(move |_| {
            let given = if is_given.swap(true, Ordering::Relaxed) {
                Err(AuthError::new("a lost connection stays lost"))
            } else {
                Ok(auth.clone())
            };
            async move { given }
        })
    }
}

/// What a connection tells of itself.
#[derive(Debug, Default)]
struct State {
    is_lost: bool,
    /// What the server complained about: a subject that is not permitted, say. It says so apart from the message.
    complaint: Option<String>,
}

impl State {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => self.is_lost = true,
            Event::ServerError(error) => self.complaint = Some(error.to_string()),
            _ => {}
        }
    }
}

pub(super) struct Session {
    jetstream: Context,
    state: watch::Receiver<State>,
    prefix: String,
    feed: i64,
    limit: usize,
}

impl Session {
    async fn send(&self, event: &PublishedEvent) -> Result<PublishAckFuture, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", event.id.to_string());
        headers.insert("Content-Type", "application/cloudevents+json");
        let subject = address::nats_subject(&self.prefix, &event.r#type, &event.subject);
        let payload = message::payload(event, self.feed, self.limit);
        let sent = self.jetstream.publish_with_headers(subject, headers, payload).await;
        sent.map_err(|error| Failure::of(&error))
    }

    fn failure(&self) -> Failure {
        let complaint = self.state.borrow().complaint.clone();
        Failure(complaint.unwrap_or_else(|| "the connection was lost".to_owned()))
    }
}

impl Connection for Session {
    async fn publish(&mut self, events: &[PublishedEvent]) -> (usize, Result<(), Failure>) {
        let mut taken = 0;
        let mut state = self.state.clone();
        let all = async {
            let mut acknowledgements = FuturesOrdered::new();
            for event in events {
                acknowledgements.push_back(self.send(event).await?.into_future());
            }
            while let Some(acknowledged) = acknowledgements.next().await {
                acknowledged.map_err(|error| {
                    let complaint = self.state.borrow().complaint.clone();
                    complaint.map_or_else(|| Failure::of(&error), Failure)
                })?;
                taken += 1;
            }
            Ok(())
        };
        let outcome = tokio::select! {
            outcome = all => outcome,
            _ = state.wait_for(|state| state.is_lost) => Err(self.failure()),
        };
        (taken, outcome)
    }

    async fn lost(&mut self) -> Failure {
        let _ = self.state.wait_for(|state| state.is_lost).await;
        self.failure()
    }
}
