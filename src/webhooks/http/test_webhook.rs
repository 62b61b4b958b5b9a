//! `POST /v1/webhooks/{id}/test`

use axum::extract::State;
use uuid::Uuid;

use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::WebhookDelivery;

/// Send a test message
///
/// Of the type `webhook.test`, whatever the filter. How it went is in the delivery.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks", security(("key" = ["events:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 201, description = "Queued", body = WebhookDelivery),
    (status = 404, description = "No such webhook", body = ProblemDocument),
))]
pub(super) async fn test_webhook(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((webhooks, id), |tx, (webhooks, id), command| {
        Box::pin(async move {
            command.was(&webhooks.lock_in_tx(tx, *id).await?);
            Ok(Reply::booked(&webhooks.test_in_tx(tx, *id).await?))
        })
    });
    run.await
}
