//! `PATCH /v1/users/{id}`

use axum::extract::State;
use uuid::Uuid;

use super::UserPatch;
use crate::access::{Access, User};
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Change a user
///
/// A JSON merge patch (RFC 7396). Role and limits hold for the sessions there are as well, on every server, within
/// a second; with `disabled` the sessions end.
#[utoipa::path(patch, path = "/v1/users/{id}", tag = "access", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")),
    request_body(content = UserPatch, content_type = "application/merge-patch+json", example = json!({"role": "manager", "warehouses": null})), responses(
    (status = 200, description = "The user as they are now", body = User),
    (status = 404, description = "No such user", body = ProblemDocument),
    (status = 409, description = "Another user has this login (`already-exists`)", body = ProblemDocument),
))]
pub(super) async fn update_user(
    State(access): State<Access>,
    Path(id): Path<Uuid>,
    command: Command<UserPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((access, id), |tx, (access, id), command| {
        Box::pin(async move {
            let current = access.lock_user_in_tx(tx, *id).await?;
            command.on(&current)?;
            let fields = command.body.apply(&command.schemas, &current.fields)?;
            Ok(Reply::resource(&access.update_user_in_tx(tx, *id, &fields).await?))
        })
    });
    run.await
}
