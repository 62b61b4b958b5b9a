//! `PATCH /v1/webhooks/{id}`

use axum::extract::State;
use uuid::Uuid;

use super::WebhookPatch;
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::Webhook;

/// Change a webhook
///
/// A JSON merge patch (RFC 7396). What waits for an endpoint that is disabled waits on, for three days at most; what
/// happens meanwhile is not kept for it, and can be replayed once it is enabled again.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks", security(("key" = ["events:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")),
    request_body(content = WebhookPatch, content_type = "application/merge-patch+json", example = json!({"enabled": false})), responses(
    (status = 200, description = "The webhook as it is now", body = Webhook),
    (status = 404, description = "No such webhook", body = ProblemDocument),
))]
pub(super) async fn update_webhook(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Uuid>,
    command: Command<WebhookPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((webhooks, id), |tx, (webhooks, id), command| {
        Box::pin(async move {
            let current = webhooks.lock_in_tx(tx, *id).await?;
            command.on(&current)?;
            let fields = command.body.apply(&command.schemas, &current.fields)?;
            Ok(Reply::resource(&webhooks.update_in_tx(tx, *id, &fields).await?))
        })
    });
    run.await
}
