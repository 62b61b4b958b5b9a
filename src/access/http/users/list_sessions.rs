//! `GET /v1/users/{id}/sessions`

use axum::extract::State;
use uuid::Uuid;

use crate::access::{Access, Sessions};
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// List a user's sessions
///
/// Those that have not ended, the newest first, 200 at most.
#[utoipa::path(get, path = "/v1/users/{id}/sessions", tag = "access", security(("key" = ["admin:read"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "The sessions", body = Sessions),
    (status = 404, description = "No such user", body = ProblemDocument),
))]
pub(super) async fn list_sessions(State(access): State<Access>, Path(id): Path<Uuid>) -> Result<Reply, Problem> {
    Ok(Reply::ok(&Sessions { items: access.sessions_of(id).await? }))
}
