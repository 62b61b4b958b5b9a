//! `GET /v1/stock/{sku}/explain`

use axum::extract::State;

use super::get_stock::{StockParams, in_query};
use crate::inventory::Inventory;
use crate::inventory::model::explain::Explanation;
use crate::platform::extract::{Path, Query};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Explain the stock of a product
///
/// Why `available` is what it is: the sum for each warehouse, and every hold, allocation and backorder behind it.
#[utoipa::path(get, path = "/v1/stock/{sku}/explain", tag = "stock",
    security(("key" = ["stock:read"])),
    params(("sku" = String, Path, example = "TEA-1"), StockParams), responses(
    (status = 200, description = "The explanation", body = Explanation),
    (status = 404, description = "No such product", body = ProblemDocument),
))]
pub(super) async fn explain_stock(
    State(inventory): State<Inventory>,
    Path(sku): Path<String>,
    Query(query): Query<StockParams>,
) -> Result<Reply, Problem> {
    Ok(Reply::ok(&inventory.explain(&sku, query.channel.as_deref()).await.map_err(in_query)?))
}
