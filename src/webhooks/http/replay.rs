//! `POST /v1/webhooks/{id}/replay`

use axum::extract::State;
use uuid::Uuid;

use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::{Replay, Replayed};

/// Replay a time
///
/// Sends what happened then once more, as far as the filter wants it, with the `webhook-id`s that it had. 10,000 messages
/// at most; `more_from` says where to go on.
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", tag = "webhooks", security(("key" = ["events:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), request_body = Replay, responses(
    (status = 201, description = "Queued", body = Replayed),
    (status = 404, description = "No such webhook", body = ProblemDocument),
))]
pub(super) async fn replay_webhook(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Uuid>,
    command: Command<Json<Replay>>,
) -> Result<Reply, Problem> {
    let run = command.run((webhooks, id), |tx, (webhooks, id), command| {
        Box::pin(async move {
            let webhook = webhooks.lock_in_tx(tx, *id).await?;
            command.was(&webhook);
            Ok(Reply::booked(&webhooks.replay_in_tx(tx, &webhook, &command.body.0).await?))
        })
    });
    run.await
}
