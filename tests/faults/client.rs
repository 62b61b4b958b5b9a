//! A client as one should be: it repeats what was not answered, under the same key and at any server, until it
//! knows what became of it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::report::Result;

/// How long one try may take. Servers give up waiting earlier than that.
const TRY: Duration = Duration::from_secs(15);

/// How long a client asks before it says that it will never know.
const INSISTENCE: Duration = Duration::from_secs(180);

/// What clients saw, all together.
#[derive(Default)]
pub struct Tally {
    pub answered: AtomicU64,
    /// Tries without an answer: refused, reset, cut off
    pub unanswered: AtomicU64,
    /// 503 with `Retry-After`
    pub unavailable: AtomicU64,
    /// Answers given for the second time
    pub replayed: AtomicU64,
    /// Answers that are never right: another 5xx, a 503 that does not say when to come back, no JSON
    wrong: Mutex<Vec<String>>,
    latencies: Mutex<Vec<Duration>>,
    refusals: Mutex<Vec<Duration>>,
}

impl Tally {
    pub fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long each try took that got a definite answer.
    pub fn latencies(&self) -> Vec<Duration> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long each 503 took.
    pub fn refusals(&self) -> Vec<Duration> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn count(&self, counter: fn(&Self) -> &AtomicU64) -> u64 {
        counter(self).load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    urls: Arc<Vec<String>>,
    key: Arc<str>,
    next: Arc<AtomicUsize>,
    pub tally: Arc<Tally>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub json: Value,
    pub what: String,
}

impl Answer {
    /// The body, of an answer with this status.
    pub fn expect(self, status: u16) -> Result<Value> {
        if self.status == status {
            return Ok(self.json);
        }
        Err(format!("{}: {} instead of {status}: {}", self.what, self.status, self.json).into())
    }

    /// Refused with this problem.
    pub fn is_refusal(&self, slug: &str) -> bool {
        self.json["type"].as_str().is_some_and(|it| it.strip_prefix("/problems/") == Some(slug))
    }

    pub fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn new(urls: Vec<String>, key: &str, tally: Tally) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TRY).pool_max_idle_per_host(256).build()?;
        Ok(Self { http, urls: Arc::new(urls), key: key.into(), next: Arc::default(), tally: Arc::new(tally) })
    }

    /// The same client with this server alone.
    pub fn only(&self, n: usize) -> Self {
        Self { urls: Arc::new(vec![self.urls[n].clone()]), ..self.clone() }
    }

    /// Repeats a request, at one server after the other, until it has a definite answer. What a try without an answer may have
    /// deleted is not found by the next one, for only a POST has its answer kept.
    pub async fn insist(&self, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> Result<Answer> {
        let (begun, mut last, mut may_be_done) = (Instant::now(), String::new(), false);
        while begun.elapsed() < INSISTENCE {
            let tried = match self.ask(method, path, key, body).await? {
                Some((answer, ..)) if method == "DELETE" && answer.status == 404 && may_be_done => return Ok(answer),
                Some((answer, retry_after, took)) => self.judge(answer, retry_after, took),
                None => {
                    may_be_done = true;
                    self.unanswered()
                }
            };
            let pause = match tried {
                Try::Definite(answer) => return Ok(answer),
                Try::Later(told, pause) => {
                    last = told;
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
        Err(format!("{method} {path}: no definite answer within {INSISTENCE:?}; the last was {last}").into())
    }

    /// One try, at the next server.
    pub async fn once(&self, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> Result<Try> {
        let asked = self.ask(method, path, key, body).await?;
        Ok(asked.map_or_else(|| self.unanswered(), |(answer, retry_after, took)| self.judge(answer, retry_after, took)))
    }

    /// The answer, if there was one, after how many seconds to ask again, and how long it took.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Option<(Answer, Option<u64>, Duration)>> {
        let url = &self.urls[self.next.fetch_add(1, Ordering::Relaxed) % self.urls.len()];
        let mut request = self.http.request(Method::from_bytes(method.as_bytes())?, format!("{url}{path}"));
        request = request.bearer_auth(&self.key);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let begun = Instant::now();
        let Ok(response) = request.send().await else { return Ok(None) };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let Ok(bytes) = response.bytes().await else { return Ok(None) };
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let answer = Answer { status, json, what: format!("{method} {path}") };
        let retry_after = headers.get("retry-after").and_then(|it| it.to_str().ok()?.parse().ok());
        if headers.contains_key("idempotency-replayed") {
            self.tally.replayed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Some((answer, retry_after, begun.elapsed())))
    }

    fn unanswered(&self) -> Try {
        self.tally.unanswered.fetch_add(1, Ordering::Relaxed);
        Try::Later("none".to_owned(), Duration::from_millis(50))
    }

    fn judge(&self, answer: Answer, retry_after: Option<u64>, took: Duration) -> Try {
        let keep = |list: &Mutex<Vec<Duration>>| list.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        let told = format!("{} {}: {}", answer.what, answer.status, answer.json);
        match (answer.status, retry_after) {
            (503, Some(seconds)) => {
                self.tally.unavailable.fetch_add(1, Ordering::Relaxed);
                keep(&self.tally.refusals);
                Try::Later(told, Duration::from_secs(seconds))
            }
            (409, Some(_)) if answer.is_refusal("idempotency-in-progress") => {
                Try::Later(told, Duration::from_millis(50))
            }
            (500.. | 401 | 403 | 404 | 429, _) => {
                self.tally.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(told.clone());
                Try::Later(told, Duration::from_millis(200))
            }
            _ => {
                self.tally.answered.fetch_add(1, Ordering::Relaxed);
                keep(&self.tally.latencies);
                Try::Definite(answer)
            }
        }
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.insist("GET", path, None, None).await?.expect(200)
    }

    /// The whole of a list, page by page.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(&format!("{path}?limit=200{cursor}")).await?;
            items.append(page["items"].as_array_mut().ok_or("a page has items")?);
            let Some(next) = page["next_cursor"].as_str() else { return Ok(items) };
            cursor = format!("&cursor={next}");
        }
    }
}

impl Client {
    /// How many events of a type the feed has.
    pub async fn events(&self, kind: &str) -> Result<usize> {
        let (mut count, mut after) = (0, String::new());
        loop {
            let feed = self.get(&format!("/v1/events?limit=200&type={kind}{after}")).await?;
            let items = feed["items"].as_array().map_or(0, Vec::len);
            if items == 0 {
                return Ok(count);
            }
            count += items;
            after = format!("&after={}", feed["next_cursor"].as_str().unwrap_or_default());
        }
    }

    /// What the first server answers to somebody with another key.
    pub async fn status_with(&self, key: &str, path: &str) -> Result<u16> {
        let answer = self.http.get(format!("{}{path}", self.urls[0])).bearer_auth(key).send().await?;
        Ok(answer.status().as_u16())
    }
}

/// What became of one try.
pub enum Try {
    Definite(Answer),
    /// Nobody knows yet: what was heard, and ask again after this
    Later(String, Duration),
}
