//! `DELETE /v1/keys/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Access;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Revoke a key
///
/// It opens nothing any more, on every server, within a second. It stays in the list, and its id in the audit trail.
/// Revoking twice is fine. The last key that could make keys stays.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "access", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 204, description = "Revoked"),
    (status = 404, description = "No such key", body = ProblemDocument),
    (status = 409, description = "No other key could make keys (`in-use`)", body = ProblemDocument),
))]
pub(super) async fn revoke_key(
    State(access): State<Access>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((access, id), |tx, (access, id), command| {
        Box::pin(async move {
            let current = access.lock_key_in_tx(tx, *id).await?;
            command.on(&current)?;
            access.revoke_in_tx(tx, &current).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
