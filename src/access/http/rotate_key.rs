//! `POST /v1/keys/{id}/rotate`

use axum::extract::State;
use uuid::Uuid;

use crate::access::{Access, IssuedKey, Rotation};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Rotate a key
///
/// Gives the key a new secret, and keeps its id, scopes and limits. The old secret opens as well until the overlap
/// ends, so that programs can be changed over one by one.
#[utoipa::path(post, path = "/v1/keys/{id}/rotate", tag = "access", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), request_body = Rotation, responses(
    (status = 201, description = "The key with its new secret", body = IssuedKey),
    (status = 404, description = "No such key", body = ProblemDocument),
    (status = 409, description = "It is revoked, has expired, or was brought along (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn rotate_key(
    State(access): State<Access>,
    Path(id): Path<Uuid>,
    command: Command<Json<Rotation>>,
) -> Result<Reply, Problem> {
    let run = command.run((access, id), |tx, (access, id), command| {
        Box::pin(async move {
            let current = access.lock_key_in_tx(tx, *id).await?;
            command.was(&current);
            Ok(access.rotate_in_tx(tx, &current, &command.body.0).await?.reply())
        })
    });
    run.await
}
