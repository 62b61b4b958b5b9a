//! How the server calls Stripe: for so long, and for so much of an answer. No redirect is followed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::OnceCell;
use url::form_urlencoded;

use crate::payments::provider::ProviderError;
use crate::payments::settings::Settings;
use crate::platform::outbound::trusting;

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
}

/// What is refused has had no effect, and stays refused: a card that is declined, say, or what cannot be made sense of. Of all
/// else it is not known what became of it.
impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        match failed.status {
            Some(StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND) => {
                Self::Declined(failed.told)
            }
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

    /// Whatever is wrong with it, nothing is known then.
    pub async fn get(&self, path: &str) -> Result<Value, ProviderError> {
        let got = self.send(Request::builder().method(Method::GET), path, Bytes::new()).await;
        got.map_err(|failed| ProviderError::Again(failed.told))
    }

    /// Whoever repeats it within a day with the same key gets the same answer.
    pub async fn post(&self, path: &str, key: &str, form: &[(&str, &str)]) -> Result<Value, ProviderError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::builder().method(Method::POST).header("idempotency-key", key);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        Ok(self.send(request, path, body.into()).await?)
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

fn connect() -> Result<Http, Failed> {
    let trusting = trusting().map_err(|error| Failed::new(format!("TLS cannot be set up: {error}")))?;
    Ok(Client::builder(TokioExecutor::new()).build(trusting.https_or_http().enable_http1().build()))
}
