//! `POST /v1/webhooks/{id}/rotate`

use axum::extract::State;
use uuid::Uuid;

use super::issued;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::{IssuedWebhook, SecretRotation};

/// Rotate a webhook's secret
///
/// Until the overlap ends, messages have signatures by the secret before as well, so that receivers can be changed over.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate", tag = "webhooks", security(("key" = ["events:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), request_body = SecretRotation, responses(
    (status = 201, description = "The webhook with its new secret", body = IssuedWebhook),
    (status = 404, description = "No such webhook", body = ProblemDocument),
))]
pub(super) async fn rotate_webhook_secret(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Uuid>,
    command: Command<Json<SecretRotation>>,
) -> Result<Reply, Problem> {
    let run = command.run((webhooks, id), |tx, (webhooks, id), command| {
        Box::pin(async move {
            command.was(&webhooks.lock_in_tx(tx, *id).await?);
            let (webhook, secret) = webhooks.rotate_in_tx(tx, *id, command.body.0.overlap_hours).await?;
            Ok(issued(webhook, secret))
        })
    });
    run.await
}
