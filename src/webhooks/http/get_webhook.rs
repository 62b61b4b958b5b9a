//! `GET /v1/webhooks/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::Webhook;

/// Read a webhook
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks", security(("key" = ["events:read"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "The webhook", body = Webhook),
    (status = 404, description = "No such webhook", body = ProblemDocument),
))]
pub(super) async fn get_webhook(State(webhooks): State<Webhooks>, Path(id): Path<Uuid>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&webhooks.get(id).await?))
}
