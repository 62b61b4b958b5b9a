//! The server's own accept loop: connections are counted, each of their phases has a deadline, and all of them are
//! brought to an end when the server stops.
//!
//! HTTP/1.1 only: a proxy that speaks HTTP/2 to the world speaks HTTP/1.1 to what is behind it.

mod connection;
mod seats;
mod tls;
mod watch;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

use self::seats::{Refused, Seats};
use self::watch::Watch;
use super::client::{Networks, network};
use super::limits::Limits;

pub use tls::{Certificates, TlsError};

/// How long the loop rests when the system has no more files for connections.
const REST: Duration = Duration::from_millis(50);

/// For so many connections there may be one that is being turned away, beside them.
const FAREWELLS: usize = 8;

pub struct Server {
    pub limits: Limits,
    pub trusted: Networks,
    pub tls: Option<Certificates>,
    /// How long requests in flight may take to end once the server stops.
    pub drain: Duration,
}

impl Server {
    /// Serves until `stopping`, and then until the last request is answered or `drain` is over.
    pub async fn serve(self, listener: TcpListener, router: Router, stopping: impl Future<Output = ()>) {
        let Self { limits, trusted, tls, drain } = self;
        let room = room_for_connections(limits.connections);
        let seats = Seats::new(room, limits.connections_per_address);
        let shared = Arc::new(connection::Shared::new(limits, router, tls.clone(), room / FAREWELLS));
        let is_counted = |address: IpAddr| {
            let exempt = shared.limits.exempt_loopback && address.is_loopback();
            !exempt && !trusted.contains(address)
        };
        let (tell, told) = signal::channel(false);
        let mut connections = JoinSet::new();
        let renewal = async {
            match &tls {
                Some(certificates) => certificates.keep_current().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(stopping, renewal);
        loop {
            let (stream, peer) = tokio::select! {
                () = &mut stopping => break,
                () = &mut renewal => unreachable!("certificates are looked after for ever"),
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        rest_after(&error).await;
                        continue;
                    }
                },
            };
            let address = peer.ip().to_canonical();
            let watch = Arc::new(Watch::new(&shared.limits));
            match seats.take(watch.clone(), is_counted(address).then(|| network(address))) {
                Ok(seat) => {
                    let (shared, told) = (shared.clone(), told.clone());
                    connections.spawn(async move {
                        connection::serve(stream, peer, &shared, watch, told).await;
                        drop(seat);
                    });
                }
                Err(refused) => {
                    count_refusal(peer, refused);
                    let shared = shared.clone();
                    connections.spawn(async move { connection::turn_away(stream, &shared).await });
                }
            }
        }
        drop(listener);
        tell.send_replace(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "cutting off connections that did not end in time");
        }
    }
}

/// Connections that the system keeps until they are accepted, or fewer where it allows fewer. Of one that finds no
/// room there, a silent client believes that it is connected, and no deadline of ours can reach it.
const BACKLOG: u32 = 4096;

/// Listens on the first of the addresses behind a name that can be had.
pub async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut outcome = Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no such address"));
    for address in lookup_host(address).await? {
        outcome = listen_on(address);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // What is left of the connections of a server before us does not stand in the way.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn count_refusal(peer: SocketAddr, refused: Refused) {
    let why = match refused {
        Refused::Full => "full",
        Refused::Address => "address",
    };
    metrics::counter!("stockhold_connections_refused_total", "why" => why).increment(1);
    tracing::debug!(%peer, why, "connection refused");
}

/// A client that went away while it was accepted is nothing; a system without files needs a moment.
async fn rest_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "cannot accept connections");
        tokio::time::sleep(REST).await;
    }
}

/// Lets the process open as many files as the system grants it, and says how many of `wanted` connections that
/// allows, with some files left for everything else.
fn room_for_connections(wanted: usize) -> usize {
    const OTHERS: u64 = 256;
    let granted = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: granted.maximum, maximum: granted.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => granted.maximum,
        Err(_) => granted.current,
    };
    let room = files.map_or(usize::MAX, |files| usize::try_from(files.saturating_sub(OTHERS)).unwrap_or(usize::MAX));
    let room = room - room / (FAREWELLS + 1);
    if room < wanted {
        tracing::warn!("the system allows {files:?} open files: at most {room} connections instead of {wanted}");
    }
    wanted.min(room.max(1))
}
