//! `GET /v1/events/stream`

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, stream};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;

use super::Filtered;
use crate::events::tail::{Burst, Piece, show};
use crate::events::{Events, Filter, FilterQuery};
use crate::lifecycle::Shutdown;
use crate::platform::extract::Query;
use crate::platform::gzip;
use crate::platform::problem::{OVERLOADED, Problem};

/// A reader hears something at least this often, and a proxy sees that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Read from the feed at once by who is behind.
const PIECE: usize = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// Begin after this cursor; `Last-Event-ID` goes before it. Left out, it begins with what happens from now on
    #[param(max_length = 200)]
    after: Option<String>,
}

/// Follow the event feed
///
/// The feed as Server-Sent Events: one `data` line for each event, as `GET /v1/events` shows it. Its `id` is a cursor of
/// the feed; an `EventSource` sends it as `Last-Event-ID` when it connects again, and misses nothing. An empty event
/// at the beginning, and every 15 seconds, gives the id where nothing passes the filter. Who reads too slowly is cut, and goes on where
/// it was. Whoever says `Accept-Encoding: gzip` is sent a tenth of the bytes. A session needs no key, so pages of this server can use `EventSource`.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events",
    security(("key" = ["events:read"])),
    params(From, FilterQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen", max_length = 200)),
    responses(
        (status = 200, description = "Events as they happen, without end", content_type = "text/event-stream", body = String),
        (status = 410, description = "Events after this cursor are missing (`stale-cursor`)"),
    ))]
pub(super) async fn stream_events(
    State((events, shutdown)): State<(Events, Shutdown)>,
    headers: HeaderMap,
    Query(Filtered { own: from, filter }): Query<Filtered<From>>,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").map(|id| id.to_str().map_err(|_| Problem::invalid_cursor())).transpose()?;
    let place = events.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(&OVERLOADED, "as many as may follow the feed at once do; read GET /v1/events, or try again later")
    })?;
    let position = match last.filter(|id| !id.is_empty()).or(from.after.as_deref()) {
        Some(cursor) => events.resume(Some(cursor)).await?,
        None => events.position().await?,
    };
    let feed = events.cursor_at(position).await?.feed;
    let reader = Reader {
        news: events.listen(),
        events,
        feed,
        filter: filter.into(),
        position,
        step: Step::Greet,
        heard: Instant::now(),
        shutdown,
        _place: place,
    };
    let is_packed = gzip::is_accepted(&headers);
    let bytes = if is_packed { Body::from_stream(packed(reader)) } else { Body::from_stream(plain(reader)) };
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no")); // nginx would gather it
    Ok(response)
}

fn plain(reader: Reader) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(reader, async |mut reader| {
        let piece = reader.next().await?;
        Some((Ok(piece.text.clone()), reader))
    })
}

fn packed(reader: Reader) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(Some((reader, gzip::Stream::default())), async |state| {
        let (mut reader, mut sent) = state?;
        Some(match reader.next().await {
            Some(piece) => (Ok(sent.bring(piece.packed())), Some((reader, sent))),
            None => (Ok(sent.end()), None),
        })
    })
}

/// One who follows.
struct Reader {
    events: Events,
    feed: i64,
    filter: Filter,
    /// All up to here was sent, or not wanted
    position: i64,
    news: Receiver<Arc<Burst>>,
    step: Step,
    /// When something was sent last
    heard: Instant,
    shutdown: Shutdown,
    _place: OwnedSemaphorePermit,
}

enum Step {
    Greet,
    /// Reads from the feed what was before
    CatchUp,
    Live,
    End,
}

impl Reader {
    /// What is sent next; `None` ends the stream.
    async fn next(&mut self) -> Option<Arc<Piece>> {
        loop {
            let piece = match self.step {
                Step::Greet => Arc::new(self.greet().await?.into()),
                Step::CatchUp => Arc::new(self.catch_up().await?.into()),
                Step::Live => self.live().await?,
                Step::End => return None,
            };
            if !piece.text.is_empty() {
                self.heard = Instant::now();
                return Some(piece);
            }
        }
    }

    /// With an id, or who is cut before the first event would begin anew, and miss what was between.
    async fn greet(&mut self) -> Option<Bytes> {
        self.step = Step::CatchUp;
        let cursor = self.events.cursor_at(self.position).await.ok()?;
        Some(format!("retry: 1000\nid: {}\n\n", cursor.encode()).into())
    }

    async fn catch_up(&mut self) -> Option<Bytes> {
        if self.shutdown.has_started() {
            return None;
        }
        // Before it reads, so that nothing falls in between; what came while it was behind is in the feed.
        self.news = self.events.listen();
        // A reader whose database is away comes back, with the id that it has.
        let stretch = self.events.read(self.position, PIECE, &self.filter).await.ok()?;
        self.position = stretch.position;
        if stretch.is_all {
            self.step = Step::Live;
        }
        let mut text = Vec::new();
        stretch.events.iter().for_each(|event| show(event, self.feed, &mut text));
        Some(text.into())
    }

    async fn live(&mut self) -> Option<Arc<Piece>> {
        let burst = tokio::select! {
            burst = self.news.recv() => burst,
            () = self.shutdown.started() => return None,
            () = sleep_until(self.heard + HEARTBEAT) => return Some(Arc::new(self.heartbeat().await?.into())),
        };
        match burst {
            Ok(burst) if burst.to <= self.position => Some(Arc::default()),
            Ok(burst) if burst.from > self.position => {
                self.step = Step::CatchUp;
                Some(Arc::default())
            }
            Ok(burst) => {
                let text = burst.wanted(&self.filter, self.position);
                self.position = burst.to;
                Some(text)
            }
            Err(RecvError::Lagged(_)) => {
                metrics::counter!("stockhold_streams_cut_total").increment(1);
                self.step = Step::End;
                Some(Arc::new(Bytes::from_static(b": too slow; connect again, and go on after the last id\n\n").into()))
            }
            Err(RecvError::Closed) => None,
        }
    }

    /// An id without an event: it is kept, and nothing is dispatched.
    async fn heartbeat(&self) -> Option<Bytes> {
        let cursor = self.events.cursor_at(self.position).await.ok()?;
        Some(format!("id: {}\n\n", cursor.encode()).into())
    }
}
