//! `GET /v1/webhooks/{id}/deliveries/{delivery}`

use axum::extract::State;
use uuid::Uuid;

use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::DeliveryLog;

/// Read a delivery
///
/// What was sent, and how each attempt was answered.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries/{delivery}", tag = "webhooks",
    security(("key" = ["events:read"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"),
           ("delivery" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c")), responses(
    (status = 200, description = "The delivery", body = DeliveryLog),
    (status = 404, description = "No such webhook or delivery", body = ProblemDocument),
))]
pub(super) async fn get_delivery(
    State(webhooks): State<Webhooks>,
    Path((id, delivery)): Path<(Uuid, Uuid)>,
) -> Result<Reply, Problem> {
    Ok(Reply::ok(&webhooks.delivery_log(id, delivery).await?))
}
