//! `GET /v1/orders/{id}`

use axum::extract::State;

use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::model::Order;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read an order
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001")), responses(
    (status = 200, description = "The order", body = Order),
    (status = 404, description = "No such order", body = ProblemDocument),
))]
pub(super) async fn get_order(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&orders.get(&id, &limits).await?))
}
