//! `GET /v1/labels`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::access::Limits;
use crate::carriers::Carriers;
use crate::carriers::model::label::{Label, LabelFilter, LabelStatus};
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListLabels {
    order_id: Option<Uuid>,
    #[param(inline)]
    status: Option<LabelStatus>,
    #[param(max_length = 32, example = "LONDON")]
    warehouse: Option<String>,
    #[param(max_length = 32, example = "web")]
    channel: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List labels
///
/// The newest first.
#[utoipa::path(get, path = "/v1/labels", tag = "labels",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(ListLabels),
    responses((status = 200, description = "A page of labels", body = Page<Label>)))]
pub(super) async fn list_labels(
    State(carriers): State<Carriers>,
    limits: Limits,
    Query(query): Query<ListLabels>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let (warehouses, channels) = (limits.warehouses.among(query.warehouse)?, limits.channels.among(query.channel)?);
    let filter = LabelFilter { order_id: query.order_id, status: query.status, warehouses, channels };
    Ok(Reply::ok(&carriers.list_labels(&filter, page).await?))
}
