//! `DELETE /v1/users/{id}/identity`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Access;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Forget who a user is to the OpenID provider
///
/// Their sessions end, on every server, within a second. Whoever next comes from the provider with their login is taken
/// for them; disable them if nobody shall be.
#[utoipa::path(delete, path = "/v1/users/{id}/identity", tag = "access", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 204, description = "Forgotten"),
    (status = 404, description = "No such user", body = ProblemDocument),
))]
pub(super) async fn unlink_user(
    State(access): State<Access>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((access, id), |tx, (access, id), command| {
        Box::pin(async move {
            command.on(&access.lock_user_in_tx(tx, *id).await?)?;
            access.unlink_in_tx(tx, *id).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
