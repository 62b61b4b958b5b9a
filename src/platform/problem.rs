//! Errors as RFC 9457 problem details, and the catalogue behind `GET /problems/{slug}`.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// One fault of a request, at a JSON pointer into its body (`/lines/0/quantity`), or `/query/name`
/// and `/header/name` for what stands elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"pointer": "/lines/0/quantity", "code": "minimum", "detail": "0 is less than the minimum of 1"}))]
pub struct Fault {
    pub pointer: String,
    pub code: String,
    pub detail: String,
}

impl Fault {
    pub fn new(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.to_owned(), detail: detail.into() }
    }
}

/// A kind of problem: its slug is part of the contract.
pub struct Kind {
    pub slug: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
    pub explanation: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $slug:literal, $status:ident, $title:literal, $explanation:literal;)*) => {
        $(pub const $name: Kind = Kind {
            slug: $slug, status: StatusCode::$status, title: $title, explanation: $explanation,
        };)*
        /// Every kind there is.
        pub const KINDS: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    MALFORMED = "malformed-request", BAD_REQUEST, "The request could not be read",
        "The body is not valid JSON, was cut off, gives a field twice, or is nested too deeply. Send one complete JSON document in UTF-8.";
    INVALID_CURSOR = "invalid-cursor", BAD_REQUEST, "The cursor is not one of ours",
        "Cursors are opaque: pass next_cursor back as it was given, or leave it out to start from the beginning.";
    UNAUTHENTICATED = "unauthenticated", UNAUTHORIZED, "A valid key or session is needed",
        "Send the header `Authorization: Bearer <key>`, or log in with `POST /v1/session`. The first start of the server prints the admin key.";
    FORBIDDEN = "forbidden", FORBIDDEN, "This caller may not do that",
        "The key or session is valid, but lacks the scope that the operation asks for, or is limited to other warehouses or channels.";
    LOGIN_FAILED = "login-failed", UNAUTHORIZED, "Login or password is wrong",
        "Nobody with this login and password may log in. Which of them is wrong, or whether the user is disabled, is not told.";
    EXTERNAL_LOGIN_FAILED = "external-login-failed", UNAUTHORIZED, "The log-in by the OpenID provider did not succeed",
        "The provider did not vouch for you, its answer could not be verified or belongs to another browser, or nobody here is known by it; the detail says which. Begin anew at `GET /v1/session/oidc/start`, or log in with a password.";
    TOO_MANY_LOGINS = "too-many-logins", TOO_MANY_REQUESTS, "Too many log-ins failed",
        "This login, or this address, failed too often in a row. Wait for `Retry-After` seconds: each further failure doubles them, up to a quarter of an hour.";
    CSRF = "csrf", FORBIDDEN, "The request does not come from a page of this server",
        "A change in a session needs the header `X-CSRF-Token`, with the token that the log-in and `GET /v1/session` gave, and has to come from the server's own origin.";
    NOT_FOUND = "not-found", NOT_FOUND, "There is no such thing",
        "Nothing stands at this address. Identifiers are case-sensitive.";
    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED, "This method is not served here",
        "The address exists, but not for this method; the header `Allow` lists those that are.";
    ALREADY_EXISTS = "already-exists", CONFLICT, "It exists already",
        "Something else has this identifier. Choose another, or change the one that exists.";
    IN_USE = "in-use", CONFLICT, "It is still in use",
        "It cannot be deleted while stock, holds, orders or other records depend on it; the detail says which.";
    INVALID_STATE = "invalid-state", CONFLICT, "Its state does not allow that",
        "The thing exists, but is in a state in which this call makes no sense; the detail says which.";
    INSUFFICIENT_STOCK = "insufficient-stock", CONFLICT, "There is not enough stock",
        "Nothing was held or booked. `shortages` names each short line, what is available, when the next hold expires, and which substitutes are in stock.";
    STALE_QUANTITY = "stale-quantity", CONFLICT, "The stock is not what you expected",
        "`expected_on_hand` differs from what is there: somebody changed it meanwhile. Read the level, decide again, and repeat the call.";
    SEQUENCE_REUSED = "sequence-reused", CONFLICT, "This sequence number belongs to another report",
        "The device sent another report under this number before. Numbers rise with each report; a device that begins to count anew, after a restart say, reports under another name (`device`).";
    RESERVATION_ENDED = "reservation-ended", CONFLICT, "The reservation has ended",
        "It was committed, released, or has expired; `reservation_status` says which. Make a new reservation.";
    TOO_MANY_HOLDS = "too-many-holds", CONFLICT, "The owner has too many live reservations",
        "Release or replace some of them, or wait until they expire.";
    IDEMPOTENCY_IN_PROGRESS = "idempotency-in-progress", CONFLICT, "The same request is still running",
        "A request with this Idempotency-Key has not finished. Wait a moment, then repeat it with the same key and body.";
    STALE_CURSOR = "stale-cursor", GONE, "Events after this cursor are missing",
        "They were too old to be kept, or a backup was restored that does not have all that was read. Begin again: `GET /v1/stock/snapshot` gives the stock as it is, and the cursor to go on from.";
    PRECONDITION_FAILED = "precondition-failed", PRECONDITION_FAILED, "It has changed meanwhile",
        "`If-Match` names another version than the present one. Read it again, decide again, and repeat the call.";
    REQUEST_TIMEOUT = "request-timeout", REQUEST_TIMEOUT, "The request took too long to arrive",
        "The body came too slowly, and the connection was closed. Nothing was changed. Repeat the request over a better line, or split it.";
    BODY_TOO_LARGE = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "Split the request, for instance into several batches.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON",
        "Send `Content-Type: application/json` (for PATCH also application/merge-patch+json).";
    VALIDATION = "validation", UNPROCESSABLE_ENTITY, "The request is not valid",
        "`errors` lists every fault with a JSON pointer to it. Nothing was changed.";
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "This Idempotency-Key belongs to another request",
        "The key was used with a different method, address or body. Use a new key for a new request.";
    TOO_MANY_REQUESTS = "too-many-requests", TOO_MANY_REQUESTS, "Too many requests",
        "`limit` says which limit was met: of requests from one address (`address`), with one key (`key`), of one key at once (`key-at-once`), or without a valid key (`failed-keys`). Nothing was changed. Wait for `Retry-After` seconds.";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "The server failed",
        "Nothing was changed. The log has the cause under the request id that `instance` gives.";
    OVERLOADED = "overloaded", SERVICE_UNAVAILABLE, "The server has more to do than it can",
        "The request was refused before any work was done, so that those in work get their answers. Nothing was changed. Repeat it after `Retry-After` seconds.";
    TIMED_OUT = "timed-out", SERVICE_UNAVAILABLE, "The answer took too long",
        "It may have been done or not. Repeat the request with the same Idempotency-Key, or read what it would have changed.";
    UNAVAILABLE = "unavailable", SERVICE_UNAVAILABLE, "The server is not available right now",
        "The database, the OpenID provider or the provider of labels is away, or the server is starting or stopping. Repeat the request after `Retry-After` seconds; with an Idempotency-Key that is always safe.";
}

/// Members that RFC 9457 and we give to every problem.
const RESERVED: &[&str] = &["type", "title", "status", "detail", "instance", "errors"];

/// A problem on its way to the caller.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    faults: Vec<Fault>,
    extra: Map<String, Value>,
    /// What caused it; logged, never shown.
    cause: Option<Arc<dyn StdError + Send + Sync>>,
    /// The transaction lost against another one: trying again may well succeed.
    transient: bool,
    /// When to come back.
    retry_after: Option<Duration>,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.slug)
    }
}

impl Problem {
    pub fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            faults: Vec::new(),
            extra: Map::new(),
            cause: None,
            transient: false,
            retry_after: None,
        }
    }

    pub fn validation(faults: Vec<Fault>) -> Self {
        let detail = summary(&faults);
        Self { faults, ..Self::new(&VALIDATION, detail) }
    }

    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        if let [one] = faults.as_slice() {
            self.detail.clone_from(&one.detail);
        }
        self.faults = faults;
        self
    }

    pub fn fault(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self::validation(vec![Fault::new(pointer, code, detail)])
    }

    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(&NOT_FOUND, format!("there is no {what} {id}"))
    }

    pub fn invalid_cursor() -> Self {
        Self::new(&INVALID_CURSOR, "the cursor could not be read")
    }

    pub fn internal(cause: impl StdError + Send + Sync + 'static) -> Self {
        Self { cause: Some(Arc::new(cause)), ..Self::new(&INTERNAL, "the server failed; its log has the cause") }
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(&UNAVAILABLE, detail)
    }

    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Of a transaction that lost a race, and may well win the next.
    pub fn worth_another_try(self) -> Self {
        Self { transient: true, ..self }
    }

    /// Adds a member of its own to the problem document.
    pub fn with<T: Serialize>(mut self, name: &str, value: &T) -> Self {
        debug_assert!(!RESERVED.contains(&name), "{name} is a member of every problem");
        let value = serde_json::to_value(value).expect("problem members are plain data");
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// Moves every pointer below `prefix`: for an item of a batch.
    pub fn at(mut self, prefix: &str) -> Self {
        for fault in &mut self.faults {
            fault.pointer.insert_str(0, prefix);
        }
        if self.kind.slug == VALIDATION.slug {
            self.detail = summary(&self.faults);
        }
        self
    }

    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    pub fn status(&self) -> StatusCode {
        self.kind.status
    }

    pub fn is_transient(&self) -> bool {
        self.transient
    }

    pub fn document(&self, instance: Option<&str>) -> Value {
        let mut document = json!({
            "type": format!("/problems/{}", self.kind.slug),
            "title": self.kind.title,
            "status": self.kind.status.as_u16(),
            "detail": self.detail,
        });
        let members = document.as_object_mut().expect("made as an object");
        if let Some(instance) = instance {
            members.insert("instance".to_owned(), instance.into());
        }
        if !self.faults.is_empty() {
            members.insert("errors".to_owned(), json!(self.faults));
        }
        members.extend(self.extra.clone());
        document
    }

    /// Logs what the caller must not see.
    pub fn log(&self) {
        if let Some(cause) = &self.cause {
            let cause: &(dyn StdError + 'static) = cause.as_ref();
            tracing::error!(error = cause, problem = self.kind.slug, "request failed");
        }
    }
}

fn summary(faults: &[Fault]) -> String {
    match faults {
        [one] => format!("{}: {}", one.pointer, one.detail),
        many => format!("{} faults, listed in errors", many.len()),
    }
}

/// The response carries the problem itself; the outermost layer writes the document, for it alone
/// knows the request id (`http::finish`).
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log();
        let mut response = self.status().into_response();
        let soon = self.status() == StatusCode::SERVICE_UNAVAILABLE || self.kind.slug == IDEMPOTENCY_IN_PROGRESS.slug;
        if let Some(wait) = self.retry_after.or_else(|| soon.then_some(Duration::from_secs(1))) {
            let seconds = wait.as_secs_f64().ceil() as u64;
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<sqlx::Error>> for Problem {
    fn from(error: Arc<sqlx::Error>) -> Self {
        let code = error.as_database_error().and_then(|e| e.code()).map(|c| c.into_owned()).unwrap_or_default();
        let lost_a_race = matches!(code.as_str(), "40001" | "40P01");
        let busy = matches!(*error, sqlx::Error::PoolTimedOut) || matches!(code.as_str(), "55P03" | "57014" | "25P03");
        let away = matches!(*error, sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed)
            || ["08", "57P", "53"].iter().any(|class| code.starts_with(class));
        let mut problem = if lost_a_race {
            Self::unavailable("the request lost against others too often; repeat it")
        } else if busy {
            Self::unavailable("too many requests are waiting for the same thing; repeat it in a moment")
        } else if away {
            Self::unavailable("the database is not available right now")
        } else {
            Self::new(&INTERNAL, "the server failed; its log has the cause")
        };
        problem.transient = lost_a_race;
        problem.cause = Some(error);
        problem
    }
}

/// How a problem looks in the OpenAPI document.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/validation", "title": "The request is not valid", "status": 422,
    "detail": "/lines/0/quantity: 0 is less than the minimum of 1", "instance": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "errors": [{"pointer": "/lines/0/quantity", "code": "minimum", "detail": "0 is less than the minimum of 1"}]
}))]
pub struct ProblemDocument {
    /// A stable address below /problems/ that answers with an explanation
    pub r#type: String,
    pub title: String,
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    pub detail: String,
    /// The request id, as in X-Request-Id
    pub instance: Option<String>,
    /// Every fault found in the request
    pub errors: Option<Vec<Fault>>,
}
