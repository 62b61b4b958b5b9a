//! How the server calls the provider: by https, for so long, and for so much of an answer. No redirect is followed,
//! for an answer must not lead the server anywhere else.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioExecutor;
use openidconnect::http::StatusCode;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use tokio::sync::OnceCell;
use tokio_rustls::rustls::crypto::ring;
use url::Url;

use super::settings::is_safe;

/// From the first byte of a call to the last of its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer, in bytes. Keys and tokens have a few thousand.
const LARGEST: usize = 512 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("TLS cannot be set up")]
    Setup(#[from] tokio_rustls::rustls::Error),
    #[error("the provider names an address that is not safe: {0}")]
    Unsafe(String),
    #[error("there is no answer")]
    NoAnswer(#[from] ClientError),
    #[error("the provider failed: {0}")]
    Failed(StatusCode),
    #[error("the answer cannot be read, or is too long")]
    Unreadable(#[source] Box<dyn StdError + Send + Sync>),
    #[error("the answer took too long")]
    TooLate,
}

/// Made when it is first needed: a server without a provider reads no certificates.
#[derive(Default)]
pub struct Calls {
    client: OnceCell<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl<'a> AsyncHttpClient<'a> for Calls {
    type Error = CallError;
    type Future = BoxFuture<'a, Result<HttpResponse, CallError>>;

    fn call(&'a self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl Calls {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        let to = request.uri().to_string();
        if !Url::parse(&to).is_ok_and(|url| is_safe(&url)) {
            return Err(CallError::Unsafe(to));
        }
        let client = self.client.get_or_try_init(|| async { connect() }).await?;
        let answered = async {
            let answer = client.request(request.map(|body| Full::new(body.into()))).await?;
            let (parts, body) = answer.into_parts();
            if parts.status.is_server_error() {
                return Err(CallError::Failed(parts.status));
            }
            let body = Limited::new(body, LARGEST).collect().await.map_err(CallError::Unreadable)?;
            Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(PATIENCE, answered).await.unwrap_or(Err(CallError::TooLate))
    }
}

/// It trusts whom the machine trusts: providers of a company are often signed by an authority of its own.
fn connect() -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, CallError> {
    let trusting = match HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider()) {
        Ok(trusting) => trusting,
        Err(error) => {
            tracing::warn!(%error, "this machine knows no authorities to trust: those that Mozilla trusts are taken");
            HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring::default_provider())?
        }
    };
    let connector = trusting.https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
