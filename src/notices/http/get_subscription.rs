//! `GET /v1/subscriptions/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::notices::Notices;
use crate::notices::model::Subscription;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a subscription
#[utoipa::path(get, path = "/v1/subscriptions/{id}", tag = "notices", security(("key" = ["catalog:read"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "The subscription", body = Subscription),
    (status = 404, description = "No such subscription", body = ProblemDocument),
))]
pub(super) async fn get_subscription(State(notices): State<Notices>, Path(id): Path<Uuid>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&notices.get(id).await?))
}
