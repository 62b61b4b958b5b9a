//! `GET /v1/webhooks/{id}/deliveries`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::platform::extract::{Path, Query};
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::{DeliveryStatus, WebhookDelivery};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListDeliveries {
    #[param(inline)]
    status: Option<DeliveryStatus>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List a webhook's deliveries
///
/// The newest first; kept for 30 days after they ended.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks", security(("key" = ["events:read"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"), ListDeliveries), responses(
    (status = 200, description = "A page of deliveries", body = Page<WebhookDelivery>),
    (status = 404, description = "No such webhook", body = ProblemDocument),
))]
pub(super) async fn list_deliveries(
    State(webhooks): State<Webhooks>,
    Path(id): Path<Uuid>,
    Query(query): Query<ListDeliveries>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&webhooks.deliveries(id, query.status, page).await?))
}
