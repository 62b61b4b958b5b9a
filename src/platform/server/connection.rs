//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch as signal};
use tokio::time::{Instant, sleep_until, timeout};
use tower::ServiceExt;

use super::tls::Certificates;
use super::watch::{Answer, Watch, Watched, Why};
use crate::platform::limits::Limits;

/// The most that is read at once, and with it what a connection costs while a body comes in.
const READ_BUFFER: usize = 16 * 1024;

/// An answer may be on its way while the client still sends: closing at once would take it away from it. So the
/// server reads on for a while, and throws away.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1024 * 1024;

/// To who finds no place.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// What all connections share.
pub struct Shared {
    pub limits: Limits,
    http: http1::Builder,
    router: Router,
    tls: Option<Certificates>,
    /// How many may be turned away at once. A flood that is beyond that as well is told nothing.
    farewells: Semaphore,
}

impl Shared {
    pub fn new(limits: Limits, router: Router, tls: Option<Certificates>, farewells: usize) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(None) // the watch does it, and tells a header from an idle connection
            .max_headers(limits.headers)
            .max_header_size(limits.header_bytes)
            .max_buf_size(limits.header_bytes.max(READ_BUFFER));
        Self { limits, http, router, tls, farewells: Semaphore::new(farewells) }
    }
}

/// Serves one connection until either side ends it, or it is too slow, or the server has stopped.
pub async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Shared,
    watch: Arc<Watch>,
    told: signal::Receiver<bool>,
) {
    // Answers are small: waiting to fill a packet only adds latency. A socket that refuses is served all the same.
    let _ = stream.set_nodelay(true);
    let cut = match &shared.tls {
        None => match first_byte(&stream, &watch, told.clone()).await {
            // Boxed, for a task is as large as the largest of what it may come to.
            Ok(()) => Box::pin(talk(stream, peer, shared, watch, told)).await,
            Err(cut) => {
                if cut == Some(Why::Crowded) {
                    turn_away(stream, shared).await; // its request may be on its way
                }
                cut
            }
        },
        Some(certificates) => {
            let patience = Duration::from_secs(shared.limits.header_seconds);
            match Box::pin(timeout(patience, certificates.acceptor().accept(stream))).await {
                Ok(Ok(stream)) => Box::pin(talk(stream, peer, shared, watch, told)).await,
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "no TLS connection came about");
                    None
                }
                Err(_) => Some(Why::Header),
            }
        }
    };
    if let Some(why) = cut {
        metrics::counter!("stockhold_connections_cut_total", "why" => why.name()).increment(1);
        tracing::debug!(%peer, why = why.name(), "connection cut");
    }
}

/// Tells a client without a place that it has none, whether it has asked something or not.
pub async fn turn_away(mut stream: TcpStream, shared: &Shared) {
    let Ok(_permit) = shared.farewells.try_acquire() else { return };
    // Over TLS it would be noise; before the first byte there is always room for so little.
    if shared.tls.is_none() && stream.try_write(NO_PLACE).is_ok() {
        linger(&mut stream).await;
    }
}

/// Waits for something to read: until then, a connection has no more than its socket, whatever HTTP needs for it. `Err`
/// ends it, and says why it was cut, if it was.
async fn first_byte(stream: &TcpStream, watch: &Watch, mut told: signal::Receiver<bool>) -> Result<(), Option<Why>> {
    let too_late = async {
        match watch.deadline() {
            Some((at, why)) => {
                sleep_until(Instant::from_std(at)).await;
                why
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        readable = stream.readable() => readable.map_err(|_| None),
        why = too_late => Err(Some(why)),
        () = watch.crowded.notified() => Err(Some(Why::Crowded)),
        _ = told.wait_for(|stopping| *stopping) => Err(None),
    }
}

/// Speaks HTTP. Says why the connection was cut, if it was.
async fn talk<T>(
    io: T,
    peer: SocketAddr,
    shared: &Shared,
    watch: Arc<Watch>,
    mut told: signal::Receiver<bool>,
) -> Option<Why>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn({
        let (router, watch) = (shared.router.clone(), watch.clone());
        move |request| answer(router.clone(), watch.clone(), peer, request)
    });
    let io = Watched { io, watch: watch.clone() };
    let mut connection = shared.http.serve_connection(TokioIo::new(io), service);
    let mut stopping = Some(Box::pin(told.wait_for(|stopping| *stopping)));
    let mut crowded = pin!(watch.crowded.notified());
    let mut timer = pin!(sleep_until(Instant::now()));
    let cut = poll_fn(|cx| {
        if stopping.as_mut().is_some_and(|stopping| stopping.as_mut().poll(cx).is_ready()) {
            stopping = None;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if connection.poll_without_shutdown(cx).is_ready() {
            return Poll::Ready(None); // what went wrong was the client's doing, and is told to it
        }
        if crowded.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Why::Crowded));
        }
        // A deadline that moves away is found out when the timer rings; one that comes nearer moves the timer.
        while let Some((at, why)) = watch.deadline() {
            let at = Instant::from_std(at);
            if at < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= at {
                return Poll::Ready(Some(why));
            }
        }
        Poll::Pending
    })
    .await;
    if cut.is_none() {
        linger(connection.into_parts().io.into_inner().io).await;
    }
    cut
}

fn answer(
    router: Router,
    watch: Arc<Watch>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> BoxFuture<'static, Result<Response<Answer>, Infallible>> {
    watch.work();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    Box::pin(async move {
        let response = router.oneshot(request).await?;
        Ok(response.map(|body| Answer::new(body, watch)))
    })
}

/// Ends the connection so that what was written last arrives.
async fn linger<T: AsyncRead + AsyncWrite + Unpin>(mut io: T) {
    let _ = timeout(LINGER, async {
        // Errors mean that the other side is gone, which is what is waited for.
        if io.shutdown().await.is_ok() {
            let _ = tokio::io::copy(&mut io.take(LINGER_BYTES), &mut tokio::io::sink()).await;
        }
    })
    .await;
}
