//! `GET /v1/orders`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::model::{FulfilmentStatus, Order, OrderStatus};
use crate::orders::repo::Filter;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListOrders {
    #[param(inline)]
    status: Option<OrderStatus>,
    #[param(inline)]
    fulfilment_status: Option<FulfilmentStatus>,
    #[param(max_length = 32, example = "web")]
    channel: Option<String>,
    #[param(max_length = 200, example = "WEB-1001")]
    reference: Option<String>,
    customer_id: Option<Uuid>,
    /// With a line of this product
    #[param(max_length = 64, example = "TEA-1")]
    sku: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List orders
///
/// The newest first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(ListOrders),
    responses((status = 200, description = "A page of orders", body = Page<Order>)))]
pub(super) async fn list_orders(
    State(orders): State<Orders>,
    limits: Limits,
    Query(query): Query<ListOrders>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let ListOrders { status, fulfilment_status, channel, reference, customer_id, sku, .. } = query;
    let channels = limits.channels.among(channel)?;
    let filter = Filter { status, fulfilment_status, channels, reference, customer_id, sku };
    Ok(Reply::ok(&orders.list(&filter, page).await?))
}
