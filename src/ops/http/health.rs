//! `GET /healthz`, `GET /readyz`

use axum::extract::State;

use crate::ops::Ops;
use crate::platform::problem::{Problem, ProblemDocument};

/// The process is up
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain", example = "ok")))]
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// The server can do its work
///
/// 503 while the database is away or the server is stopping: send traffic elsewhere.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "It can", body = String, content_type = "text/plain", example = "ready"),
    (status = 503, description = "Not now", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn readyz(State(ops): State<Ops>) -> Result<&'static str, Problem> {
    if ops.shutdown.has_started() {
        return Err(Problem::unavailable("the server is stopping"));
    }
    ops.db.ping().await?;
    Ok("ready")
}
