//! `DELETE /v1/users/{id}/sessions`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Access;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// End a user's sessions
///
/// All of them, on every server, within a second. They can log in again.
#[utoipa::path(delete, path = "/v1/users/{id}/sessions", tag = "access", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 204, description = "Ended"),
    (status = 404, description = "No such user", body = ProblemDocument),
))]
pub(super) async fn end_sessions(
    State(access): State<Access>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((access, id), |tx, (access, id), command| {
        Box::pin(async move {
            command.was(&access.lock_user_in_tx(tx, *id).await?);
            access.end_sessions_in_tx(tx, *id).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
