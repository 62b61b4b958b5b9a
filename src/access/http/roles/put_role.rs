//! `PUT /v1/roles/{name}`

use axum::extract::State;

use crate::access::{Access, Role, RoleRights};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Make a role, or change what it may do
///
/// It holds for everybody who has the role, on every server, within a second. The role admin stays as it is.
#[utoipa::path(put, path = "/v1/roles/{name}", tag = "access", security(("key" = ["admin:write"])),
    params(("name" = String, Path, pattern = "^[a-z][a-z0-9_-]{0,31}$", example = "picker")), request_body = RoleRights, responses(
    (status = 200, description = "The role as it is now", body = Role),
    (status = 409, description = "It is the role admin (`invalid-state`)", body = ProblemDocument),
    (status = 422, description = "No role can have this name (`validation`)", body = ProblemDocument),
))]
pub(super) async fn put_role(
    State(access): State<Access>,
    Path(name): Path<String>,
    command: Command<Json<RoleRights>>,
) -> Result<Reply, Problem> {
    let run = command.run((access, name), |tx, (access, name), command| {
        Box::pin(async move {
            command.on(&access.lock_role_in_tx(tx, name).await?)?;
            Ok(Reply::resource(&access.put_role_in_tx(tx, name, &command.body.0).await?))
        })
    });
    run.await
}
