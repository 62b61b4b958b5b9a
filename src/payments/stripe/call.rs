//! How the server calls Stripe: for so long, and for so much of an answer. No redirect is followed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_rustls::rustls::crypto::ring;
use url::form_urlencoded;

use crate::payments::provider::ProviderError;
use crate::payments::settings::Settings;

/// The version of the API that is spoken here.
const VERSION: &str = "2024-06-20";
/// Of an answer, in bytes. A page of refunds has some hundred thousand.
const LARGEST: usize = 1024 * 1024;

/// A call that was not answered as it should be.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub struct Failed {
    status: Option<StatusCode>,
    told: String,
}

impl Failed {
    fn new(told: impl Into<String>) -> Self {
        Self { status: None, told: told.into() }
    }

    /// Of a call that has no effect even where it succeeds: what Stripe cannot make sense of is refused for good.
    pub fn of_no_effect(self) -> ProviderError {
        match self.status {
            Some(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) => ProviderError::Declined(self.told),
            _ => self.into(),
        }
    }
}

/// A card that is declined stays so. All else may be another attempt's success: the books say so before it is made.
impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        match failed.status {
            Some(StatusCode::PAYMENT_REQUIRED) => Self::Declined(failed.told),
            _ => Self::Again(failed.told),
        }
    }
}

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

pub struct Calls {
    base: String,
    authorisation: String,
    patience: Duration,
    /// Made when it is first needed: it reads certificates.
    client: OnceCell<Http>,
}

impl Calls {
    pub fn new(settings: &Settings) -> Self {
        let base = settings.api_base.trim_end_matches('/').to_owned();
        let authorisation = format!("Bearer {}", settings.secret_key);
        Self { base, authorisation, patience: settings.timeout(), client: OnceCell::new() }
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failed> {
        self.send(Request::builder().method(Method::GET), path, Bytes::new()).await
    }

    /// Whoever repeats it within a day with the same key gets the same answer.
    pub async fn post(&self, path: &str, key: &str, form: &[(&str, &str)]) -> Result<Value, Failed> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::builder().method(Method::POST).header("idempotency-key", key);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, path, body.into()).await
    }

    async fn send(&self, request: hyper::http::request::Builder, path: &str, body: Bytes) -> Result<Value, Failed> {
        let client = self.client.get_or_try_init(|| async { connect() }).await?;
        let request = request
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, &self.authorisation)
            .header("stripe-version", VERSION)
            .header(header::USER_AGENT, concat!("stockhold/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|_| Failed::new("the request cannot be made of this"))?;
        let answered = async {
            let answer = client.request(request).await.map_err(|_| Failed::new("Stripe does not answer"))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            let body = body.map_err(|_| Failed::new("Stripe's answer cannot be read"))?.to_bytes();
            let json: Value = serde_json::from_slice(&body).unwrap_or_default();
            match status {
                StatusCode::OK if !json.is_null() => Ok(json),
                _ => {
                    let told = json["error"]["message"].as_str().unwrap_or("no reason is told");
                    Err(Failed { status: Some(status), told: format!("{told} ({})", status.as_u16()) })
                }
            }
        };
        let too_late = || Err(Failed::new(format!("no answer within {} s", self.patience.as_secs())));
        tokio::time::timeout(self.patience, answered).await.unwrap_or_else(|_| too_late())
    }
}

/// It trusts whom the machine trusts.
fn connect() -> Result<Http, Failed> {
    let trusting = match HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider()) {
        Ok(trusting) => trusting,
        Err(error) => {
            tracing::warn!(%error, "this machine knows no authorities to trust: those that Mozilla trusts are taken");
            let builder = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring::default_provider());
            builder.map_err(|error| Failed::new(format!("TLS cannot be set up: {error}")))?
        }
    };
    let connector = trusting.https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
