//! `DELETE /v1/users/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::{Access, NewUser};
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Disable a user
///
/// They cannot log in, and their sessions end, on every server, within a second. The user stays in the list, for
/// records name them; `PATCH` with `disabled: false` lets them in again. Disabling twice is fine.
#[utoipa::path(delete, path = "/v1/users/{id}", tag = "access", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 204, description = "Disabled"),
    (status = 404, description = "No such user", body = ProblemDocument),
))]
pub(super) async fn disable_user(
    State(access): State<Access>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((access, id), |tx, (access, id), command| {
        Box::pin(async move {
            let current = access.lock_user_in_tx(tx, *id).await?;
            command.on(&current)?;
            access.update_user_in_tx(tx, *id, &NewUser { disabled: true, ..current.fields }).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
