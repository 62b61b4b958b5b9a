//! `DELETE /v1/webhooks/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;

/// Delete a webhook
///
/// With all that waits for it, and its log.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks", security(("key" = ["events:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 204, description = "Deleted"),
    (status = 404, description = "No such webhook", body = ProblemDocument),
))]
pub(super) async fn delete_webhook(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((webhooks, id), |tx, (webhooks, id), command| {
        Box::pin(async move {
            command.on(&webhooks.lock_in_tx(tx, *id).await?)?;
            webhooks.delete_in_tx(tx, *id).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
