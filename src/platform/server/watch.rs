//! What one connection is waiting for, and until when.

use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::platform::limits::Limits;

/// Why a connection was ended by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The header did not arrive in time, nor perhaps anything at all.
    Header,
    /// No further request came.
    Idle,
    /// The client does not take its answer.
    Write,
    /// Others needed the place.
    Crowded,
}

impl Why {
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Idle => "idle",
            Self::Write => "write",
            Self::Crowded => "crowded",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// For a request; `first` while there was none yet.
    Waiting { first: bool },
    /// For the rest of a header.
    Heading,
    /// For ourselves: a request has come and is not answered yet.
    Working,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when something written could not be sent off.
    blocked: Option<Instant>,
}

/// Shared by the connection, its requests' answers, and who may have to end it.
#[derive(Debug)]
pub struct Watch {
    state: Mutex<State>,
    header: Duration,
    idle: Duration,
    write: Duration,
    /// Notified when the connection has to make place.
    pub crowded: Notify,
    /// Its place among all connections; kept by them.
    pub(super) place: AtomicUsize,
}

impl Watch {
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: Mutex::new(State { phase: Phase::Waiting { first: true }, since: Instant::now(), blocked: None }),
            header: Duration::from_secs(limits.header_seconds),
            idle: Duration::from_secs(limits.idle_seconds),
            write: Duration::from_secs(limits.write_seconds),
            crowded: Notify::new(),
            place: AtomicUsize::new(usize::MAX),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("never poisoned")
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        (state.phase, state.since) = (phase, Instant::now());
    }

    /// A request has come.
    pub fn work(&self) {
        self.enter(Phase::Working);
    }

    /// Since when it is the client that the server waits for.
    pub fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Working => state.blocked,
            Phase::Waiting { .. } | Phase::Heading => Some(state.since),
        }
    }

    /// When it will be too late, and for what. `None` while it is us who work.
    pub fn deadline(&self) -> Option<(Instant, Why)> {
        let state = self.state();
        let reading = match state.phase {
            Phase::Waiting { first: false } => Some((state.since + self.idle, Why::Idle)),
            Phase::Waiting { first: true } | Phase::Heading => Some((state.since + self.header, Why::Header)),
            Phase::Working => None,
        };
        let writing = state.blocked.map(|since| (since + self.write, Why::Write));
        reading.into_iter().chain(writing).min_by_key(|(at, _)| *at)
    }
}

/// The connection's bytes: their coming begins a header, their not going is noted.
pub struct Watched<T> {
    pub io: T,
    pub watch: Arc<Watch>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            let mut state = self.watch.state();
            match state.phase {
                // The first header had its time from the beginning.
                Phase::Waiting { first: true } => state.phase = Phase::Heading,
                Phase::Waiting { first: false } => (state.phase, state.since) = (Phase::Heading, Instant::now()),
                Phase::Heading | Phase::Working => {}
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Watched<T> {
    /// What is blocked stays so until all of it is gone: taking a byte now and then does not count.
    fn note<R>(&self, written: Poll<R>) -> Poll<R> {
        if written.is_pending() {
            self.watch.state().blocked.get_or_insert_with(Instant::now);
        }
        written
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Called when everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if flushed.is_ready() {
            self.watch.state().blocked = None;
        }
        self.note(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// An answer's body. When it is gone, the connection waits for its next request.
pub struct Answer {
    body: Body,
    watch: Arc<Watch>,
}

impl Answer {
    pub fn new(body: Body, watch: Arc<Watch>) -> Self {
        Self { body, watch }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.watch.enter(Phase::Waiting { first: false });
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
