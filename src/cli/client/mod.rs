//! A small client of the public HTTP API, shared by `replay` and `demo`.
//!
//! Every call is repeated until it is answered: a refused connection, a time-out, 429, 502, 503, 504
//! and a key still in progress are waited out up to `--wait`, any other 5xx is tried a few times.
//! **Invariant:** a POST that changes something carries an `Idempotency-Key`, so repeating it is safe.

mod error;
mod patience;
mod problem;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Method, Url, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::error::Error;
use self::patience::{Again, Patience};
pub use self::problem::Batch;
use self::problem::Problem;

const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const SLOW_CALL_TIMEOUT: Duration = Duration::from_secs(900);

/// Where the server is and who is calling: flags of every subcommand that is a client.
#[derive(Debug, Clone, clap::Args)]
pub struct Server {
    /// Address of the server
    #[arg(long, env = "STOCKHOLD_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// API key; without it STOCKHOLD_ADMIN_KEY is used
    #[arg(long, env = "STOCKHOLD_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// How long to wait for a server that does not answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u64,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

/// An answer, and whether the server had given it before to the same key.
pub struct Answer<T> {
    pub body: T,
    pub replayed: bool,
}

#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    repeats: AtomicU64,
    replayed: AtomicU64,
}

/// What the client did, for the summary.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Calls {
    /// Requests sent, repeats included.
    pub sent: u64,
    /// Requests sent again because the server did not answer or was busy.
    pub repeated: u64,
    /// Answers that the server had given before to the same key.
    pub replayed: u64,
}

/// One request, to be sent until it is answered.
struct Call<'a> {
    /// For messages: method and path.
    name: String,
    method: Method,
    url: Url,
    key: Option<&'a str>,
    body: Option<Vec<u8>>,
    timeout: Duration,
}

pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: String,
    wait: Duration,
    counters: Counters,
}

impl Call<'_> {
    fn with_body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = Some(bytes),
            Err(source) => {
                return Err(Error::Body { call: self.name, source });
            }
        }
        Ok(self)
    }
}

impl Client {
    pub fn new(server: &Server) -> Result<Self, Error> {
        let bad = |reason: String| Error::Address { url: server.url.clone(), reason };
        let base = Url::parse(&server.url).map_err(|e| bad(e.to_string()))?;
        let host = base.host_str().ok_or_else(|| bad("it has no host".into()))?;
        let given = |key: &String| !key.trim().is_empty();
        let key = server.key.clone().filter(given);
        let key = key.or_else(|| std::env::var("STOCKHOLD_ADMIN_KEY").ok().filter(given));
        let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5));
        // A proxy from the environment has no way to this machine's own loopback.
        let http = if local { http.no_proxy() } else { http };
        Ok(Self {
            http: http.build().map_err(Error::Setup)?,
            key: key.ok_or(Error::NoKey)?,
            base,
            wait: Duration::from_secs(server.wait),
            counters: Counters::default(),
        })
    }

    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub fn calls(&self) -> Calls {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { calls, repeats, replayed } = &self.counters;
        Calls { sent: of(calls), repeated: of(repeats), replayed: of(replayed) }
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Error> {
        Ok(self.send(self.call(Method::GET, path, query)?).await?.body)
    }

    /// A read that may take minutes on a large instance.
    pub async fn get_slow<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        let mut call = self.call(Method::GET, path, &[])?;
        call.timeout = SLOW_CALL_TIMEOUT;
        Ok(self.send(call).await?.body)
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], key: &str, body: &impl Serialize) -> Result<T, Error> {
        Ok(self.post_answer(path, key, body).await?.body)
    }

    pub async fn post_answer<T: DeserializeOwned>(
        &self,
        path: &[&str],
        key: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, Error> {
        let mut call = self.call(Method::POST, path, &[])?.with_body(body)?;
        call.key = Some(key);
        self.send(call).await
    }

    pub async fn patch<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        Ok(self.send(self.call(Method::PATCH, path, &[])?.with_body(body)?).await?.body)
    }

    pub async fn put<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        Ok(self.send(self.call(Method::PUT, path, &[])?.with_body(body)?).await?.body)
    }

    fn call(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<Call<'_>, Error> {
        Ok(Call {
            name: format!("{method} /v1/{}", path.join("/")),
            method,
            url: self.address(path, query)?,
            key: None,
            body: None,
            timeout: CALL_TIMEOUT,
        })
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::Address { url: self.base.to_string(), reason: "it cannot have a path".into() })?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn send<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Answer<T>, Error> {
        let (bytes, replayed) = self.until_answered(&call).await?;
        let bytes = if bytes.is_empty() { b"null" } else { bytes.as_slice() };
        match serde_json::from_slice(bytes) {
            Ok(body) => Ok(Answer { body, replayed }),
            Err(source) => Err(Error::Answer { call: call.name, source }),
        }
    }

    async fn until_answered(&self, call: &Call<'_>) -> Result<(Vec<u8>, bool), Error> {
        let mut patience = Patience::new(self.wait);
        loop {
            self.counters.calls.fetch_add(1, Ordering::Relaxed);
            let (again, failure) = match self.once(call).await {
                Ok(Reply::Done { body, replayed }) => {
                    let count = u64::from(replayed);
                    self.counters.replayed.fetch_add(count, Ordering::Relaxed);
                    return Ok((body, replayed));
                }
                Ok(Reply::Problem(problem, retry_after)) => {
                    let again = Again::after(&problem, retry_after);
                    (again, Error::refused(&call.name, problem))
                }
                Err(source) => {
                    let never = source.is_builder();
                    let again = if never { Again::Never } else { Again::Later(None) };
                    (again, Error::unreachable(&call.name, patience.waited(), source))
                }
            };
            let Some(pause) = patience.next(again) else {
                return Err(failure);
            };
            self.counters.repeats.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Reply, reqwest::Error> {
        let mut request = self
            .http
            .request(call.method.clone(), call.url.clone())
            .timeout(call.timeout)
            .bearer_auth(&self.key)
            .header(header::ACCEPT, "application/json");
        if let Some(key) = call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &call.body {
            let kind = if call.method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
            request = request.header(header::CONTENT_TYPE, kind).body(body.clone());
        }
        let response = request.send().await?;
        let status = response.status();
        let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let replayed = text("idempotency-replayed") == Some("true");
        let retry_after = text("retry-after").and_then(|v| v.parse().ok()).map(Duration::from_secs);
        let body = response.bytes().await?;
        if status.is_success() {
            let body = body.to_vec();
            return Ok(Reply::Done { body, replayed });
        }
        Ok(Reply::Problem(Problem::read(status, &body), retry_after))
    }
}

enum Reply {
    Done { body: Vec<u8>, replayed: bool },
    Problem(Problem, Option<Duration>),
}
