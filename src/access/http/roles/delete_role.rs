//! `DELETE /v1/roles/{name}`

use axum::extract::State;

use crate::access::{Access, Error};
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Delete a role
///
/// One of your own, once no user has it.
#[utoipa::path(delete, path = "/v1/roles/{name}", tag = "access", security(("key" = ["admin:write"])),
    params(("name" = String, Path, pattern = "^[a-z][a-z0-9_-]{0,31}$", example = "picker")), responses(
    (status = 204, description = "Deleted"),
    (status = 404, description = "No such role", body = ProblemDocument),
    (status = 409, description = "A user has it (`in-use`), or it comes with the product (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn delete_role(
    State(access): State<Access>,
    Path(name): Path<String>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((access, name), |tx, (access, name), command| {
        Box::pin(async move {
            let current = access.lock_role_in_tx(tx, name).await?.ok_or_else(|| Error::NoRole(name.clone()))?;
            command.on(&current)?;
            access.delete_role_in_tx(tx, &current).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
