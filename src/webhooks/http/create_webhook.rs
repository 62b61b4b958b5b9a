//! `POST /v1/webhooks`

use axum::extract::State;

use super::issued;
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::{IssuedWebhook, NewWebhook};

/// Make a webhook
///
/// From now on, the endpoint gets a POST for each event that its filter wants: the event as `GET /v1/events` shows it,
/// signed as [Standard Webhooks](https://www.standardwebhooks.com) asks for, with the secret that this answer has, once. Any
/// 2xx within 15 seconds takes the message; everything else, redirects too, brings it again, for three days and ever more
/// seldom, always with the same `webhook-id`. Of one subject, a message comes when those before it were taken. An endpoint
/// that answers 410, or that takes nothing for five days, is disabled.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", security(("key" = ["events:write"])),
    request_body = NewWebhook, responses(
    (status = 201, description = "Made", body = IssuedWebhook),
    (status = 409, description = "There are too many (`in-use`)", body = ProblemDocument),
))]
pub(super) async fn create_webhook(
    State(webhooks): State<Webhooks>,
    command: Command<Json<NewWebhook>>,
) -> Result<Reply, Problem> {
    let run = command.run(webhooks, |tx, webhooks, command| {
        Box::pin(async move {
            let (webhook, secret) = webhooks.create_in_tx(tx, &command.body.0).await?;
            Ok(issued(webhook, secret))
        })
    });
    run.await
}
