//! How a call that changes something runs, in one place for all of them: detached from the client's
//! connection, in one transaction with its idempotency record, tried again when it lost a race.

mod repo;
mod together;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{FromRequest, MatchedPath, Request};
use axum::http::{HeaderMap, Method, header};
use futures::future::{BoxFuture, FutureExt};
use rand::RngExt;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use super::audit::{self, Actor, Entry};
use super::client::ClientAddress;
use super::db::{Answers, Asked, Db, Reads, Writes};
use super::entity_tag::Versions;
use super::extract::{self, Input};
use super::intake::Admitted;
use super::problem::{IDEMPOTENCY_IN_PROGRESS, IDEMPOTENCY_KEY_REUSED, PRECONDITION_FAILED, Problem};
use super::reply::{Reply, etag};
use super::schema::Schemas;
use super::{Caller, Platform};

pub use repo::forget_old;
pub use together::{Member, Outcomes, Together, Work};

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
    if_match: Option<Versions>,
    idempotency: Option<Idempotency>,
    request_id: Option<RequestId>,
    call: Call,
    /// What `work` said of the thing that it changes; behind a lock because `work` sees the command by reference.
    told: Mutex<Told>,
    db: Db,
    /// Its place in work, kept until it is done.
    _admitted: Option<Admitted>,
}

/// The call, for the audit trail.
struct Call {
    method: Method,
    route: String,
    path: String,
    address: Option<ClientAddress>,
}

#[derive(Default)]
struct Told {
    before: Option<String>,
    /// The id of what is changed, which may have been called by another name
    id: Option<String>,
    subject: Option<String>,
}

impl Call {
    /// The address of what was changed: as the work told, else of what was made, else the path up to the last name in
    /// it. A thing that has an id goes by it, whatever name it was called by.
    fn subject(&self, told: &Told, reply: &Reply) -> String {
        let made = || reply.headers.iter().find(|(name, _)| *name == header::LOCATION).map(|(_, to)| to.clone());
        told.subject.clone().or_else(made).unwrap_or_else(|| self.address_of(told.id.as_deref()))
    }

    fn address_of(&self, id: Option<&str>) -> String {
        let parts: Vec<(&str, &str)> = self.route.split('/').zip(self.path.split('/')).collect();
        let Some(last) = parts.iter().rposition(|(route, _)| route.starts_with('{')) else { return self.path.clone() };
        let named = parts[..=last].iter().map(|(route, part)| if *route == "{id}" { id.unwrap_or(part) } else { part });
        named.collect::<Vec<_>>().join("/")
    }
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
        let admitted = parts.extensions.get::<Admitted>().cloned();
        // What is not a POST can be repeated as it is.
        let key = if parts.method == Method::POST { idempotency_key(&parts.headers)? } else { None };
        let if_match = if_match(&parts.headers)?;
        let call = Call {
            method: parts.method.clone(),
            route: parts.extensions.get::<MatchedPath>().map_or_else(String::new, |route| route.as_str().to_owned()),
            path: parts.uri.path().to_owned(),
            address: parts.extensions.get::<ClientAddress>().copied(),
        };
        let line = format!("{} {}\n", parts.method, parts.uri);
        let headers = parts.headers.clone();
        let bytes = extract::read_body(Request::from_parts(parts, body), state).await?;
        let idempotency = key.map(|key| {
            let fingerprint = Sha256::new().chain_update(line).chain_update(&bytes).finalize().to_vec();
            Idempotency { key, fingerprint }
        });
        let body = T::read(&schemas, &headers, &bytes)?;
        let told = Mutex::default();
        Ok(Self { caller, body, schemas, if_match, idempotency, request_id, call, told, db, _admitted: admitted })
    }
}

/// All `If-Match` headers as one list.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Versions>, Problem> {
    let lines: Option<Vec<&str>> = headers.get_all(header::IF_MATCH).iter().map(|value| value.to_str().ok()).collect();
    if lines.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let read = lines.and_then(|lines| Versions::parse(&lines.join(",")));
    let detail = "send an ETag as it was given, in its quotes, or *";
    read.map(Some).ok_or_else(|| Problem::fault("/header/If-Match", "pattern", detail))
}

/// Every `Idempotency-Key`, for the OpenAPI document.
pub const IDEMPOTENCY_KEY_PATTERN: &str = "^[!-~]{1,255}$";

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(value) = given.next() else { return Ok(None) };
    let refuse = |code, detail| Err(Problem::fault("/header/Idempotency-Key", code, detail));
    if given.next().is_some() {
        return refuse("repeated", "give this header once");
    }
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(key.to_owned()))
        }
        _ => refuse("pattern", "1 to 255 visible ASCII characters are needed"),
    }
}

impl<T: Input> Command<T> {
    /// Says what is changed, as it is now: refuses when the caller's `If-Match` names another version, and lets the
    /// audit trail tell how it was. Call it under the row lock.
    pub fn on<R: serde::Serialize>(&self, current: &R) -> Result<(), Problem> {
        self.on_told_as(current, current)
    }

    /// As `on`, for what is personal: the audit trail tells no more than `told` of how it was.
    pub fn on_told_as<R, K>(&self, current: &R, told: &K) -> Result<(), Problem>
    where
        R: serde::Serialize,
        K: serde::Serialize,
    {
        self.was(told);
        let Some(wanted) = &self.if_match else { return Ok(()) };
        let current = etag(current);
        if wanted.contain(&current) {
            return Ok(());
        }
        Err(Problem::new(&PRECONDITION_FAILED, format!("the present version is {current}")))
    }

    /// Lets the audit trail tell how something was that has no version of its own in this call.
    pub fn was<R: serde::Serialize>(&self, before: &R) {
        let before = serde_json::to_value(before).expect("representations are plain data, which always serialises");
        let mut told = self.told();
        told.id = before["id"].as_str().map(str::to_owned);
        told.before = (!before.is_null()).then(|| before.to_string());
    }

    /// Lets the audit trail tell what was changed, where the path does not say.
    pub fn about(&self, subject: String) {
        self.told().subject = Some(subject);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("nobody panics with it")
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
        let attempts = async move {
            let mut tries = Tries::default();
            loop {
                let outcome = self.attempt(&context, &work).await;
                if !tries.again(&outcome).await {
                    return outcome;
                }
            }
        };
        detached(attempts).await
    }

    async fn attempt<C, F>(&self, context: &C, work: &F) -> Result<Reply, Problem>
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a C, &'a Command<T>) -> BoxFuture<'a, Result<Reply, Problem>>,
    {
        let mut tx = self.db.begin().await?;
        let earlier = match self.idempotency {
            Some(_) => claim(&mut tx, &[self]).await?.pop().flatten(),
            None => None,
        };
        if let Some(earlier) = earlier {
            // Ended here and not by dropping it: the key must be free when the caller has the answer.
            tx.rollback().await?;
            return earlier;
        }
        *self.told() = Told::default();
        match work(&mut tx, context, self).await {
            Ok(reply) => {
                record(&mut tx, Writes::default(), &[(self, &reply)]).await?;
                tx.commit().await?;
                Ok(reply)
            }
            Err(problem) => {
                tx.rollback().await?;
                let is_kept = self.idempotency.is_some() && problem.status().is_client_error();
                if is_kept { self.store_refusal(&problem).await } else { Err(problem) }
            }
        }
    }

    /// What goes into the audit trail.
    fn entry(&self, reply: &Reply) -> Entry {
        let told = std::mem::take(&mut *self.told());
        let operation = format!("{} {}", self.call.method, self.call.route);
        let mut entry = Entry::new(Actor::Caller(self.caller.clone()), operation).answered(reply);
        entry.path = Some(self.call.path.clone());
        entry.subject = Some(self.call.subject(&told, reply));
        entry.request_id = self.request_id.as_ref().map(|id| id.0.to_string());
        entry.address = self.call.address.map(|address| address.0);
        entry.was_json(told.before)
    }

    /// A refusal is an answer too: as it will be given to who repeats the call.
    fn refusal(&self, problem: &Problem) -> Reply {
        let document = problem.document(self.request_id.as_ref().map(|id| &*id.0));
        let mut reply = Reply::json(problem.status(), &document).of_no_change();
        reply.headers = vec![(header::CONTENT_TYPE, "application/problem+json".to_owned())];
        reply
    }

    /// Keeps a refusal whose effect was rolled back. Should the same request have run elsewhere in between, its
    /// answer stands.
    async fn store_refusal(&self, problem: &Problem) -> Result<Reply, Problem> {
        let reply = self.refusal(problem);
        let mut tx = self.db.begin().await?;
        if let Some(earlier) = claim(&mut tx, &[self]).await?.pop().flatten() {
            tx.rollback().await?;
            return earlier;
        }
        record(&mut tx, Writes::default(), &[(self, &reply)]).await?;
        tx.commit().await?;
        Ok(reply)
    }
}

/// What a command is to be answered at once: as it was before, or that it is running.
type Earlier = Option<Result<Reply, Problem>>;

/// Takes the keys of these commands for this transaction.
async fn claim<T>(tx: &mut PgConnection, commands: &[&Command<T>]) -> Result<Vec<Earlier>, Problem> {
    let mut reads = Reads::default();
    let claims = Claims::ask_for(&mut reads, commands);
    claims.read(&reads.ask_all(tx).await?, commands)
}

/// The keys of commands, asked for.
struct Claims {
    earlier: Vec<Earlier>,
    /// Whose key each is
    places: Vec<usize>,
    asked: Option<Asked<repo::Claimed>>,
}

impl Claims {
    fn ask_for<T>(reads: &mut Reads, commands: &[&Command<T>]) -> Self {
        let mut earlier: Vec<Earlier> = commands.iter().map(|_| None).collect();
        let mut taken = HashSet::new();
        let mut keys = Vec::new();
        for (n, command) in commands.iter().enumerate() {
            let Some(record) = &command.idempotency else { continue };
            // This transaction could take its own lock twice.
            if taken.insert((command.caller.id, record.key.as_str())) {
                keys.push((
                    n,
                    repo::Key {
                        caller: command.caller.id,
                        key: &record.key,
                        lock: lock_number(command.caller.id, &record.key),
                    },
                ));
            } else {
                earlier[n] = Some(Err(in_progress()));
            }
        }
        let (places, keys): (Vec<usize>, Vec<repo::Key>) = keys.into_iter().unzip();
        let asked = (!keys.is_empty()).then(|| repo::ask_for(reads, &keys));
        Self { earlier, places, asked }
    }

    fn read<T>(self, answers: &Answers, commands: &[&Command<T>]) -> Result<Vec<Earlier>, Problem> {
        let Self { mut earlier, places, asked } = self;
        let claimed = asked.map(|asked| answers.of(&asked)).transpose()?.unwrap_or_default();
        for (claimed, n) in claimed.into_iter().zip(places) {
            let record = commands[n].idempotency.as_ref().expect("it has a key");
            earlier[n] = match claimed {
                repo::Claimed::Free => None,
                repo::Claimed::Elsewhere => Some(Err(in_progress())),
                repo::Claimed::Answered(fingerprint, _) if fingerprint != record.fingerprint => {
                    let detail = "this Idempotency-Key was used for a request with another method, address or body";
                    Some(Err(Problem::new(&IDEMPOTENCY_KEY_REUSED, detail)))
                }
                repo::Claimed::Answered(_, mut reply) => {
                    reply.headers.push((REPLAYED, "true".to_owned()));
                    Some(Ok(reply))
                }
            };
        }
        Ok(earlier)
    }
}

fn in_progress() -> Problem {
    Problem::new(&IDEMPOTENCY_IN_PROGRESS, "a request with this Idempotency-Key is still running")
}

/// Writes what is left to be written, adds to the audit trail, and stores the answers under their keys.
async fn record<T: Input>(
    tx: &mut PgConnection,
    mut writes: Writes,
    answered: &[(&Command<T>, &Reply)],
) -> Result<(), Problem> {
    let changes = answered.iter().filter(|(_, reply)| reply.is_of_a_change());
    let entries: Vec<Entry> = changes.map(|(command, reply)| command.entry(reply)).collect();
    let kept = answered.iter().filter_map(|(command, reply)| {
        let record = command.idempotency.as_ref()?;
        Some(repo::Answered::new(command.caller.id, &record.key, &record.fingerprint, reply))
    });
    let kept: Vec<repo::Answered> = kept.collect::<sqlx::Result<_>>()?;
    audit::record_with(&mut writes, &entries);
    repo::keep(&mut writes, &kept);
    writes.write_out(tx).await.map_err(|error| match error.as_database_error().and_then(|error| error.constraint()) {
        // Somebody committed the same key after we had looked for its answer, and before we got its lock.
        Some(repo::ONE_ANSWER) => {
            let detail = "a request with this Idempotency-Key was done meanwhile; repeat it";
            Problem::unavailable(detail).worth_another_try()
        }
        _ => error.into(),
    })
}

/// How often a transaction was tried again that lost a race.
#[derive(Default)]
pub struct Tries(u32);

impl Tries {
    /// Whether to try again; waits a little before it says so.
    pub async fn again<R>(&mut self, outcome: &Result<R, Problem>) -> bool {
        let lost = outcome.as_ref().is_err_and(Problem::is_transient);
        if !lost || self.0 == RETRIES {
            return false;
        }
        self.0 += 1;
        let pause = rand::rng().random_range(1..=8u64) << self.0;
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        true
    }
}

/// Goes on when the client hangs up.
pub async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    // Boxed, so that a handler that waits for it is no larger for it.
    tokio::spawn(work.in_current_span().boxed()).await.unwrap_or_else(|panic| Err(Problem::internal(panic)))
}

const REPLAYED: axum::http::HeaderName = axum::http::HeaderName::from_static("idempotency-replayed");

/// The advisory lock that stands for a caller's key. A collision (1 in 2^64) costs a 409, nothing worse.
fn lock_number(caller: Uuid, key: &str) -> i64 {
    let digest = Sha256::new().chain_update(caller.as_bytes()).chain_update(key).finalize();
    i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_the_thing_and_not_what_is_done_to_it() {
        let subject = |route: &str, path: &str, id: Option<&str>| {
            let (route, path) = (route.to_owned(), path.to_owned());
            let call = Call { method: Method::POST, route, path, address: None };
            call.address_of(id)
        };
        assert_eq!(subject("/v1/orders/{id}/cancel", "/v1/orders/1001/cancel", Some("0193")), "/v1/orders/0193");
        assert_eq!(subject("/v1/products/{sku}", "/v1/products/A%2F1", None), "/v1/products/A%2F1");
        let (route, path) = ("/v1/stock/{sku}/levels/{warehouse}", "/v1/stock/A/levels/B");
        assert_eq!(subject(route, path, Some("x")), path);
        assert_eq!(subject("/v1/sourcing", "/v1/sourcing", None), "/v1/sourcing");
    }
}
