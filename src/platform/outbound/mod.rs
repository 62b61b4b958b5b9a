//! Calls that others have the server make: to addresses that they name. Only public addresses are called, and those of
//! networks that the operator allows; what counts is the address that is really connected to, so a name that
//! leads elsewhere at the second look leads nowhere. Redirects are not followed, and no proxy is asked.

mod address;

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio_rustls::rustls::crypto::ring;
use tower::Service;
use url::{Host, Url};

use super::client::Networks;
use address::is_public;

/// Of an answer, in bytes: the rest is not read.
const LARGEST: usize = 16 * 1024;

/// Idle connections kept to one host.
const KEPT: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("TLS cannot be set up")]
    Setup(#[from] tokio_rustls::rustls::Error),
    #[error("there is no answer")]
    NoAnswer(#[from] ClientError),
    #[error("no answer within {} s", .0.as_secs())]
    TooLate(Duration),
    #[error("the request cannot be made of this")]
    Request(#[from] axum::http::Error),
}

impl CallError {
    /// In a line, with what is behind it.
    pub fn told(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// The beginning of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Made when it is first needed: a server that calls nobody reads no certificates.
#[derive(Clone)]
pub struct Outbound {
    allowed: Arc<Networks>,
    client: Arc<OnceCell<Client<HttpsConnector<Connector>, Full<Bytes>>>>,
}

impl Outbound {
    /// `allowed`: networks that may be called although they are not public, and without TLS.
    pub fn new(allowed: Networks) -> Self {
        Self { allowed: Arc::new(allowed), client: Arc::default() }
    }

    /// What is wrong with an address, as far as its looks tell.
    pub fn faults(&self, url: &str) -> Option<&'static str> {
        let Ok(url) = Url::parse(url) else { return Some("this is not an address; one begins with https://") };
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Some("the address names no host"),
        };
        match url.scheme() {
            "https" => {}
            "http" if self.allowed.is_empty() => return Some("the address has to begin with https://"),
            "http" => {}
            _ => return Some("the address has to begin with https://"),
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Some("the address must have neither a login nor a fragment (#)");
        }
        let is_secret = literal.is_some_and(|address| !may_call(&self.allowed, address, url.scheme() == "https"));
        is_secret
            .then_some("this address is not public, or has to begin with https://; the operator can allow its network")
    }

    /// Sends a body, and reads the beginning of the answer, within a time.
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let client = self.client.get_or_try_init(|| async { connect(self.allowed.clone()) }).await?;
        // As a `Url` it is normalised: what looks like a name may be an address in another notation.
        let normal = Url::parse(url).map_or_else(|_| url.to_owned(), String::from);
        let mut request = Request::builder().method(Method::POST).uri(normal).body(Full::new(body))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        let answered = async {
            let (parts, mut body) = client.request(request).await?.into_parts();
            let mut read = Vec::new();
            // Of an answer that cannot be read to its end, the status stands.
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data[..data.len().min(LARGEST - read.len())]);
                }
                if read.len() == LARGEST {
                    break;
                }
            }
            Ok(Answer { status: parts.status, headers: parts.headers, body: read.into() })
        };
        tokio::time::timeout(patience, answered).await.unwrap_or(Err(CallError::TooLate(patience)))
    }
}

const USER_AGENT: axum::http::HeaderValue =
    axum::http::HeaderValue::from_static(concat!("stockhold/", env!("CARGO_PKG_VERSION")));

fn may_call(allowed: &Networks, address: IpAddr, is_encrypted: bool) -> bool {
    allowed.contains(address) || (is_encrypted && is_public(address))
}

/// TLS that trusts whom the machine trusts.
pub fn trusting() -> Result<HttpsConnectorBuilder<WantsSchemes>, tokio_rustls::rustls::Error> {
    HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider()).or_else(|error| {
        tracing::warn!(%error, "this machine knows no authorities to trust: those that Mozilla trusts are taken");
        HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring::default_provider())
    })
}

fn connect(allowed: Arc<Networks>) -> Result<Client<HttpsConnector<Connector>, Full<Bytes>>, CallError> {
    let trusting = trusting()?;
    let connector = trusting.https_or_http().enable_http1().wrap_connector(Connector { allowed });
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(KEPT).pool_idle_timeout(Duration::from_secs(30)).pool_timer(TokioTimer::new());
    Ok(builder.build(connector))
}

/// Connects to the addresses behind a name that may be called, and to no other.
#[derive(Clone)]
struct Connector {
    allowed: Arc<Networks>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let allowed = self.allowed.clone();
        Box::pin(async move {
            let is_encrypted = to.scheme_str() == Some("https");
            let host = to.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let port = to.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
            let found: Vec<SocketAddr> = lookup_host((host.as_str(), port)).await?.collect();
            let callable: Vec<SocketAddr> =
                found.into_iter().filter(|at| may_call(&allowed, at.ip(), is_encrypted)).collect();
            if callable.is_empty() {
                let why = "the address is not public, and not in a network that the operator allows";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
            let stream = TcpStream::connect(&callable[..]).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}
