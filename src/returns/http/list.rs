//! `GET /v1/return-requests`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::returns::Returns;
use crate::returns::life::ReturnRequestStatus;
use crate::returns::model::{Filter, ReturnRequest};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListReturnRequests {
    order_id: Option<Uuid>,
    #[param(inline)]
    status: Option<ReturnRequestStatus>,
    #[param(max_length = 32, example = "web")]
    channel: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List returns that were asked for
///
/// The newest first.
#[utoipa::path(get, path = "/v1/return-requests", tag = "returns",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(ListReturnRequests),
    responses((status = 200, description = "A page of returns", body = Page<ReturnRequest>)))]
pub(super) async fn list_return_requests(
    State(returns): State<Returns>,
    limits: Limits,
    Query(query): Query<ListReturnRequests>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let ListReturnRequests { order_id, status, channel, .. } = query;
    let filter = Filter { order_id, status, channels: limits.channels.among(channel)? };
    Ok(Reply::ok(&returns.list(&filter, page).await?))
}
