//! How the server calls EasyPost: for so long, and for so much of an answer. No redirect is followed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use crate::carriers::provider::ProviderError;
use crate::carriers::settings::{Settings, is_safe};
use crate::platform::outbound::trusting;

/// Of an answer, in bytes. A label has some ten thousand.
const LARGEST: usize = 4 * 1024 * 1024;

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

/// What is refused has had no effect, and stays refused: what cannot be made sense of, or cannot be paid. Of all else it is not
/// known what became of it.
impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        match failed.status {
            Some(
                StatusCode::BAD_REQUEST
                | StatusCode::PAYMENT_REQUIRED
                | StatusCode::NOT_FOUND
                | StatusCode::UNPROCESSABLE_ENTITY,
            ) => Self::Refused(failed.told),
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
        let base = settings.easypost_api_base.trim_end_matches('/').to_owned();
        // The key is the user, and there is no password.
        let authorisation = format!("Basic {}", STANDARD.encode(format!("{}:", settings.easypost_api_key)));
        Self { base, authorisation, patience: settings.timeout(), client: OnceCell::new() }
    }

    pub async fn get(&self, path: &str) -> Result<Value, ProviderError> {
        let request = Request::builder().method(Method::GET).uri(format!("{}{path}", self.base));
        self.ask(request, Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ProviderError> {
        let request = Request::builder().method(Method::POST).uri(format!("{}{path}", self.base));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.ask(request, body.to_string().into()).await
    }

    /// A document that EasyPost has put somewhere; the key is not told there.
    pub async fn document(&self, address: &str) -> Result<Bytes, ProviderError> {
        let is_right = Url::parse(address).is_ok_and(|url| is_safe(&url));
        if !is_right {
            return Err(ProviderError::Again("the label is at no address that could be trusted".to_owned()));
        }
        let (status, body) = self.send(Request::builder().method(Method::GET).uri(address), Bytes::new()).await?;
        if status == StatusCode::OK && body.starts_with(b"%PDF-") {
            return Ok(body);
        }
        Err(ProviderError::Again(format!("the label cannot be fetched ({})", status.as_u16())))
    }

    async fn ask(&self, request: hyper::http::request::Builder, body: Bytes) -> Result<Value, ProviderError> {
        let request = request.header(header::AUTHORIZATION, &self.authorisation);
        let (status, body) = self.send(request, body).await?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status {
            StatusCode::OK | StatusCode::CREATED if json.is_object() => Ok(json),
            _ => Err(Failed { status: Some(status), told: format!("{} ({})", told(&json), status.as_u16()) }.into()),
        }
    }

    async fn send(&self, request: hyper::http::request::Builder, body: Bytes) -> Result<(StatusCode, Bytes), Failed> {
        let client = self.client.get_or_try_init(|| async { connect() }).await?;
        let request = request
            .header(header::USER_AGENT, concat!("stockhold/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|_| Failed::new("the request cannot be made of this"))?;
        let answered = async {
            let answer = client.request(request).await.map_err(|_| Failed::new("EasyPost does not answer"))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            let body = body.map_err(|_| Failed::new("EasyPost's answer cannot be read"))?.to_bytes();
            Ok((status, body))
        };
        let too_late = || Err(Failed::new(format!("no answer within {} s", self.patience.as_secs())));
        tokio::time::timeout(self.patience, answered).await.unwrap_or_else(|_| too_late())
    }
}

/// Why something was refused, with what is behind it.
fn told(json: &Value) -> String {
    let error = &json["error"];
    let of = |fault: &Value| match (fault["field"].as_str(), fault["message"].as_str()) {
        (Some(field), Some(message)) => Some(format!("{field}: {message}")),
        (None, Some(message)) => Some(message.to_owned()),
        _ => fault.as_str().map(str::to_owned),
    };
    let faults = error["errors"].as_array().into_iter().flatten().filter_map(of);
    let all: Vec<String> = error["message"].as_str().map(str::to_owned).into_iter().chain(faults).collect();
    if all.is_empty() { "no reason is told".to_owned() } else { all.join("; ") }
}

fn connect() -> Result<Http, Failed> {
    let trusting = trusting().map_err(|error| Failed::new(format!("TLS cannot be set up: {error}")))?;
    Ok(Client::builder(TokioExecutor::new()).build(trusting.https_or_http().enable_http1().build()))
}
