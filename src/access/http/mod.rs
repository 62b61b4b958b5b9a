//! The layer in front of everything below `/v1`.

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

use super::Access;
use crate::platform::problem::{Problem, UNAUTHENTICATED};

/// Lays the [`Caller`](crate::platform::Caller) on the request, or answers 401.
pub async fn authenticate(State(access): State<Access>, mut request: Request, next: Next) -> Result<Response, Problem> {
    if !needs_key(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(header) = header else {
        return Err(Problem::new(&UNAUTHENTICATED, "the header Authorization: Bearer <key> is missing"));
    };
    let (scheme, key) = header.split_once(' ').unwrap_or((header, ""));
    let caller = if scheme.eq_ignore_ascii_case("bearer") { access.caller(key.trim()).await? } else { None };
    let Some(caller) = caller else {
        return Err(Problem::new(&UNAUTHENTICATED, "the key is not valid"));
    };
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// All of the API, whether or not something stands at the address, and the metrics.
fn needs_key(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/") || path == "/metrics"
}
