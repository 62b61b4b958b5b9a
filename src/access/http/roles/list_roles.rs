//! `GET /v1/roles`

use axum::extract::State;

use crate::access::{Access, Roles};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

/// List the roles
///
/// What users may do, by the name of their role.
#[utoipa::path(get, path = "/v1/roles", tag = "access", security(("key" = ["admin:read"])),
    responses((status = 200, description = "All roles, by their names", body = Roles)))]
pub(super) async fn list_roles(State(access): State<Access>) -> Result<Reply, Problem> {
    Ok(Reply::ok(&access.roles().await?))
}
