//! `GET /v1/roles/{name}`

use axum::extract::State;

use crate::access::{Access, Role};
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a role
#[utoipa::path(get, path = "/v1/roles/{name}", tag = "access", security(("key" = ["admin:read"])),
    params(("name" = String, Path, pattern = "^[a-z][a-z0-9_-]{0,31}$", example = "clerk")), responses(
    (status = 200, description = "The role", body = Role),
    (status = 404, description = "No such role", body = ProblemDocument),
))]
pub(super) async fn get_role(State(access): State<Access>, Path(name): Path<String>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&access.role(&name).await?))
}
