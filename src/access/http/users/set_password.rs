//! `PUT /v1/users/{id}/password`

use axum::extract::State;
use uuid::Uuid;

use crate::access::{Access, NewPassword};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Set a user's password
///
/// Their sessions end, on every server, within a second. It is a PUT, so no digest of it is kept for an
/// Idempotency-Key; repeat it as it is.
#[utoipa::path(put, path = "/v1/users/{id}/password", tag = "access", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), request_body = NewPassword, responses(
    (status = 204, description = "Set"),
    (status = 404, description = "No such user", body = ProblemDocument),
))]
pub(super) async fn set_password(
    State(access): State<Access>,
    Path(id): Path<Uuid>,
    command: Command<Json<NewPassword>>,
) -> Result<Reply, Problem> {
    let login = access.user(id).await?.fields.login;
    let hash = access.hash(command.body.0.password.clone(), &login).await?;
    let run = command.run((access, id, hash), |tx, (access, id, hash), command| {
        Box::pin(async move {
            command.on(&access.lock_user_in_tx(tx, *id).await?)?;
            access.set_password_in_tx(tx, *id, hash, None).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
