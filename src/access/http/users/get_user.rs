//! `GET /v1/users/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::{Access, User};
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a user
#[utoipa::path(get, path = "/v1/users/{id}", tag = "access", security(("key" = ["admin:read"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "The user", body = User),
    (status = 404, description = "No such user", body = ProblemDocument),
))]
pub(super) async fn get_user(State(access): State<Access>, Path(id): Path<Uuid>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&access.user(id).await?))
}
