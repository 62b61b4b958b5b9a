//! `GET /v1/stock/{sku}`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Limits;
use crate::inventory::model::views::StockView;
use crate::inventory::{Error, Inventory};
use crate::platform::extract::{Path, Query};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StockParams {
    /// As this channel sees it: its warehouses alone, its buffers taken off
    #[param(max_length = 32, example = "web")]
    pub(super) channel: Option<String>,
}

/// Read the stock of a product
///
/// `available = on_hand - unavailable - reserved - allocated - safety_stock` in each active warehouse, less the
/// channel's buffer. Holds that have expired count as free at once.
#[utoipa::path(get, path = "/v1/stock/{sku}", tag = "stock",
    security(("key" = ["stock:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("sku" = String, Path, example = "TEA-1"), StockParams), responses(
    (status = 200, description = "Its stock", body = StockView),
    (status = 404, description = "No such product", body = ProblemDocument),
))]
pub(super) async fn get_stock(
    State(inventory): State<Inventory>,
    Path(sku): Path<String>,
    limits: Limits,
    Query(query): Query<StockParams>,
) -> Result<Reply, Problem> {
    let channel = limits.channels.choose(query.channel)?;
    let stock = inventory.stock(std::slice::from_ref(&sku), channel.as_deref(), &limits.warehouses).await;
    let stock = stock.map_err(in_query)?.pop();
    Ok(Reply::resource(&stock.ok_or(Error::NoProduct(sku))?))
}

/// What is wrong with the channel stands in the query here.
pub(super) fn in_query(error: Error) -> Problem {
    Problem::from(error).at("/query")
}
