//! The layer in front of everything below `/v1`: who calls, and may they?
//!
//! What an operation asks for stands in its own documentation (`security` and `x-limitable-by`), from which the
//! rules are read when the server starts. The answer is given before anything is looked up, so a refusal
//! never tells whether the thing exists.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::browser;
use crate::access::scope::Scope;
use crate::access::{Access, Credential, Limits, OpenSession, Principal, secret};
use crate::platform::client::ClientAddress;
use crate::platform::problem::{FORBIDDEN, Problem, UNAUTHENTICATED};

#[derive(Clone)]
pub struct Guard {
    access: Access,
    rules: Arc<HashMap<(Method, String), Rule>>,
}

/// What one operation asks of its callers.
enum Rule {
    /// Nothing: it is for everybody.
    Open,
    /// A session, whatever its user may do.
    Session,
    Scope {
        scope: Scope,
        /// Whether it knows what to do for callers limited to warehouses, or to channels
        by_warehouse: bool,
        by_channel: bool,
    },
}

impl Guard {
    /// Panics when an operation does not say what it asks for: a programming error.
    pub fn new(access: Access, document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).expect("the document is plain data");
        let mut rules = HashMap::new();
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let method = method.to_uppercase().parse().expect("the document names methods");
                rules.insert((method, path.clone()), Rule::of(path, operation));
            }
        }
        Self { access, rules: Arc::new(rules) }
    }

    fn rule(&self, request: &Parts) -> Option<&Rule> {
        let path = request.extensions.get::<MatchedPath>()?.as_str().to_owned();
        let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
        self.rules.get(&(method.clone(), path))
    }

    /// Where there is no rule there is no operation, and the router says so: below `/v1` to callers alone, but for
    /// another method of what is open.
    fn is_open(&self, request: &Parts) -> bool {
        let path = request.uri.path();
        let is_api = || path == "/v1" || path.starts_with("/v1/") || path == "/metrics";
        match self.rule(request) {
            Some(rule) => matches!(rule, Rule::Open),
            None => !is_api() || self.rules.iter().any(|((_, at), rule)| at == path && matches!(rule, Rule::Open)),
        }
    }

    async fn check(&self, request: &Parts) -> Result<(Principal, Option<OpenSession>), Problem> {
        let (principal, session) = authenticate(&self.access, request).await?;
        if let Some(rule) = self.rule(request) {
            rule.check(&principal)?;
        }
        Ok((principal, session))
    }
}

impl Rule {
    fn of(path: &str, operation: &Value) -> Self {
        let security = operation["security"].as_array();
        let security = security.unwrap_or_else(|| panic!("an operation at {path} does not say whom it is for"));
        let limitable = operation["x-limitable-by"].as_array().cloned().unwrap_or_default();
        match security.as_slice() {
            [] => Self::Open,
            [only] if only.get("session").is_some() => Self::Session,
            [first, ..] => {
                let scope = first["key"][0].as_str().and_then(|scope| scope.parse().ok());
                Self::Scope {
                    scope: scope.unwrap_or_else(|| panic!("an operation at {path} names no scope in its security")),
                    by_warehouse: limitable.iter().any(|by| by == "warehouse"),
                    by_channel: limitable.iter().any(|by| by == "channel"),
                }
            }
        }
    }

    fn check(&self, principal: &Principal) -> Result<(), Problem> {
        let Self::Scope { scope, by_warehouse, by_channel } = self else { return Ok(()) };
        if !principal.may(*scope) {
            return Err(Problem::new(&FORBIDDEN, format!("the scope {scope} is needed")));
        }
        let limits = &principal.limits;
        let refused = |what: &str| {
            let detail = format!("this concerns the whole shop, and this caller is limited to some {what}");
            Err(Problem::new(&FORBIDDEN, detail))
        };
        match () {
            () if !limits.warehouses.is_none() && !by_warehouse => refused("warehouses"),
            () if !limits.channels.is_none() && !by_channel => refused("channels"),
            () => Ok(()),
        }
    }
}

/// Lays the [`Caller`](crate::platform::Caller), its [`Limits`] and the session on the request, or answers 401
/// or 403.
pub async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    if !guard.is_open(&parts) {
        let (principal, session) = guard.check(&parts).await.inspect_err(|refusal| note(refusal, &parts))?;
        parts.extensions.insert(principal.caller);
        parts.extensions.insert(principal.limits);
        if let Some(session) = session {
            parts.extensions.insert(session);
        }
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// What is refused changes nothing and is not in the audit trail; the log has it, beside the request's id. The rate by
/// address, which comes first, bounds how much that is.
fn note(refusal: &Problem, request: &Parts) {
    if refusal.status().is_client_error() {
        let address = request.extensions.get::<ClientAddress>().map(|address| address.0);
        tracing::info!(?address, status = refusal.status().as_u16(), "a caller was refused");
    }
}

/// By the key, or by the session where no key is sent.
async fn authenticate(access: &Access, request: &Parts) -> Result<(Principal, Option<OpenSession>), Problem> {
    let refused = |detail: &str| Problem::new(&UNAUTHENTICATED, detail);
    if let Some(header) = request.headers.get(header::AUTHORIZATION) {
        return Ok((by_key(access, header.to_str().unwrap_or_default()).await?, None));
    }
    let Some(token) = browser::session_token(&request.headers) else {
        return Err(refused("the header Authorization: Bearer <key> is missing"));
    };
    let principal = access.principal(Credential::Session(&token)).await?;
    let principal = principal.ok_or_else(|| refused("the session has ended; log in again"))?;
    let id = principal.session.expect("it was found by its session");
    let session = OpenSession { id, user: principal.caller.id, csrf_token: token.csrf() };
    browser::check_csrf(request, &session.csrf_token, access.settings.public_url.as_ref())?;
    Ok((principal, Some(session)))
}

async fn by_key(access: &Access, header: &str) -> Result<Principal, Problem> {
    let refused = |detail: &str| Problem::new(&UNAUTHENTICATED, detail);
    let (scheme, key) = header.split_once(' ').unwrap_or((header, ""));
    let key = key.trim();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("the header Authorization must begin with Bearer"));
    }
    if secret::is_mistyped(key) {
        return Err(refused("the key was not copied right: its checksum does not agree"));
    }
    access.principal(Credential::Key(key)).await?.ok_or_else(|| refused("the key is not valid"))
}

/// Handlers take the limits of their caller as an argument.
impl<S: Send + Sync> FromRequestParts<S> for Limits {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let limits = parts.extensions.get::<Arc<Self>>().expect("the guard lays limits on every /v1 request");
        Ok(Self::clone(limits))
    }
}

/// Handlers that are about the caller's own session take it as an argument. Keys have none.
impl<S: Send + Sync> FromRequestParts<S> for OpenSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let refused = || Problem::new(&FORBIDDEN, "this is for users who have logged in; a key has no session");
        parts.extensions.get::<Self>().cloned().ok_or_else(refused)
    }
}
