//! `POST /v1/webhooks/{id}/deliveries/{delivery}/redeliver`

use axum::extract::State;
use uuid::Uuid;

use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::WebhookDelivery;

/// Send a message once more
///
/// With the same `webhook-id`, and three days of its own. It comes after all that waits of its subject.
#[utoipa::path(post, path = "/v1/webhooks/{id}/deliveries/{delivery}/redeliver", tag = "webhooks",
    security(("key" = ["events:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"),
           ("delivery" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c")), responses(
    (status = 201, description = "Queued", body = WebhookDelivery),
    (status = 404, description = "No such webhook or delivery", body = ProblemDocument),
))]
pub(super) async fn redeliver(
    State(webhooks): State<Webhooks>,
    Path((id, delivery)): Path<(Uuid, Uuid)>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((webhooks, id, delivery), |tx, (webhooks, id, delivery), command| {
        Box::pin(async move {
            command.was(&webhooks.lock_in_tx(tx, *id).await?);
            command.about(format!("/v1/webhooks/{id}"));
            Ok(Reply::booked(&webhooks.redeliver_in_tx(tx, *id, *delivery).await?))
        })
    });
    run.await
}
