//! How a call that changes something runs, in one place for all of them: detached from the client's
//! connection, in one transaction with its idempotency record, tried again when it lost a race.

mod repo;

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use futures::future::BoxFuture;
use rand::RngExt;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use super::extract::{self, Input};
use super::problem::{IDEMPOTENCY_IN_PROGRESS, IDEMPOTENCY_KEY_REUSED, PRECONDITION_FAILED, Problem};
use super::reply::{Reply, etag};
use super::schema::Schemas;
use super::{Caller, Platform, db::Db};

pub use repo::forget_old;

/// How often a transaction that lost a race (serialisation failure, deadlock) is tried again.
const RETRIES: u32 = 5;

/// The request id, as the outermost layer gave it.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

/// A request that changes something, read and checked.
pub struct Command<T> {
    pub caller: Caller,
    pub body: T,
    pub schemas: Arc<Schemas>,
    if_match: Option<String>,
    idempotency: Option<Idempotency>,
    request_id: Option<RequestId>,
    db: Db,
}

struct Idempotency {
    key: String,
    fingerprint: Vec<u8>,
}

impl<S: Send + Sync, T: Input> FromRequest<S> for Command<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let Platform { db, schemas } = extract::platform(&parts).clone();
        let caller = parts.extensions.get::<Caller>().cloned().expect("access lays the caller on every /v1 request");
        let request_id = parts.extensions.get::<RequestId>().cloned();
        // What is not a POST can be repeated as it is.
        let key = if parts.method == Method::POST { idempotency_key(&parts.headers)? } else { None };
        let if_match = if_match(&parts.headers);
        let line = format!("{} {}\n", parts.method, parts.uri);
        let headers = parts.headers.clone();
        let bytes = extract::read_body(Request::from_parts(parts, body), state).await?;
        let idempotency = key.map(|key| {
            let fingerprint = Sha256::new().chain_update(line).chain_update(&bytes).finalize().to_vec();
            Idempotency { key, fingerprint }
        });
        let body = T::read(&schemas, &headers, &bytes)?;
        Ok(Self { caller, body, schemas, if_match, idempotency, request_id, db })
    }
}

/// All `If-Match` headers as one list. One that cannot be read matches no version.
fn if_match(headers: &HeaderMap) -> Option<String> {
    let tags: Vec<&str> =
        headers.get_all(header::IF_MATCH).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    if tags.is_empty() { None } else { Some(tags.join(",")) }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(key.to_owned()))
        }
        _ => Err(Problem::fault("/header/Idempotency-Key", "pattern", "1 to 255 visible ASCII characters are needed")),
    }
}

impl<T: Input> Command<T> {
    /// Refuses when the caller's `If-Match` names another version than `current`. Call it under the row lock.
    pub fn check_match<R: serde::Serialize>(&self, current: &R) -> Result<(), Problem> {
        let Some(wanted) = &self.if_match else { return Ok(()) };
        let current = etag(current);
        if wanted.trim() == "*" || wanted.split(',').any(|tag| tag.trim() == current) {
            return Ok(());
        }
        Err(Problem::new(&PRECONDITION_FAILED, format!("the present version is {current}")))
    }

    /// Runs `work` in one transaction and answers with its reply. The work may run more than once, so
    /// it must do nothing outside the transaction; it gets `context` by reference for that reason.
    ///
    /// It goes on when the client hangs up: what was begun is finished, and the idempotency record
    /// gives the answer to a client that comes back.
    pub async fn run<C, F>(self, context: C, work: F) -> Result<Reply, Problem>
    where
        C: Send + Sync + 'static,
        F: for<'a> Fn(&'a mut PgConnection, &'a C, &'a Command<T>) -> BoxFuture<'a, Result<Reply, Problem>>
            + Send
            + Sync
            + 'static,
    {
        let detached = async move {
            let mut tries = 0;
            loop {
                match self.attempt(&context, &work).await {
                    Err(problem) if problem.is_transient() && tries < RETRIES => {
                        tries += 1;
                        let pause = rand::rng().random_range(1..=8u64) << tries;
                        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                    }
                    outcome => return outcome,
                }
            }
        };
        tokio::spawn(detached.in_current_span()).await.unwrap_or_else(|panic| Err(Problem::internal(panic)))
    }

    async fn attempt<C, F>(&self, context: &C, work: &F) -> Result<Reply, Problem>
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a C, &'a Command<T>) -> BoxFuture<'a, Result<Reply, Problem>>,
    {
        let mut tx = self.db.begin().await?;
        if let Some(record) = &self.idempotency {
            let claimed = self.claim(&mut tx, record).await;
            if !matches!(claimed, Ok(None)) {
                // Ended here and not by dropping it: the key must be free when the caller has the answer.
                tx.rollback().await?;
                return claimed.map(|earlier| earlier.expect("there is one, or it would be claimed"));
            }
        }
        match work(&mut tx, context, self).await {
            Ok(reply) => {
                if let Some(record) = &self.idempotency {
                    // The lock and the look-up above leave nobody who could have stored one meanwhile.
                    let stored = repo::store(&mut tx, self.caller.id, &record.key, &record.fingerprint, &reply).await?;
                    assert!(stored, "an answer appeared under a locked Idempotency-Key");
                }
                tx.commit().await?;
                Ok(reply)
            }
            Err(problem) => {
                tx.rollback().await?;
                match &self.idempotency {
                    Some(record) if problem.status().is_client_error() => self.store_refusal(record, problem).await,
                    _ => Err(problem),
                }
            }
        }
    }

    /// Takes the key for this transaction. `Some` is the answer that was given before.
    async fn claim(&self, tx: &mut PgConnection, record: &Idempotency) -> Result<Option<Reply>, Problem> {
        if !repo::try_lock(tx, lock_number(self.caller.id, &record.key)).await? {
            let detail = "a request with this Idempotency-Key is still running";
            return Err(Problem::new(&IDEMPOTENCY_IN_PROGRESS, detail));
        }
        self.earlier_answer(tx, record).await
    }

    async fn earlier_answer(&self, tx: &mut PgConnection, record: &Idempotency) -> Result<Option<Reply>, Problem> {
        let Some((fingerprint, mut reply)) = repo::find(tx, self.caller.id, &record.key).await? else {
            return Ok(None);
        };
        if fingerprint != record.fingerprint {
            let detail = "this Idempotency-Key was used for a request with another method, address or body";
            return Err(Problem::new(&IDEMPOTENCY_KEY_REUSED, detail));
        }
        reply.headers.push((REPLAYED, "true".to_owned()));
        Ok(Some(reply))
    }

    /// A refusal is an answer too, and is kept; its effect was rolled back. Should the same request
    /// have run elsewhere in between, its answer stands.
    async fn store_refusal(&self, record: &Idempotency, problem: Problem) -> Result<Reply, Problem> {
        let document = problem.document(self.request_id.as_ref().map(|id| &*id.0));
        let mut reply = Reply::json(problem.status(), &document);
        reply.headers = vec![(header::CONTENT_TYPE, "application/problem+json".to_owned())];
        let mut tx = self.db.begin().await?;
        if repo::store(&mut tx, self.caller.id, &record.key, &record.fingerprint, &reply).await? {
            tx.commit().await?;
            return Ok(reply);
        }
        self.earlier_answer(&mut tx, record).await.map(|earlier| earlier.unwrap_or(reply))
    }
}

const REPLAYED: axum::http::HeaderName = axum::http::HeaderName::from_static("idempotency-replayed");

/// The advisory lock that stands for a caller's key. A collision (1 in 2^64) costs a 409, nothing worse.
fn lock_number(caller: Uuid, key: &str) -> i64 {
    let digest = Sha256::new().chain_update(caller.as_bytes()).chain_update(key).finalize();
    i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}
