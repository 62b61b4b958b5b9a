//! `POST /v1/stock/query`

use std::collections::HashSet;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Limits;
use crate::inventory::model::views::StockView;
use crate::inventory::{Inventory, Sku};
use crate::platform::extract::Json;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::warehouses::Code;

/// Products to look up
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"skus": ["TEA-1", "TEA-2"], "channel": "web"}))]
pub(super) struct StockQuery {
    #[schema(min_items = 1, max_items = 1000)]
    skus: Vec<Sku>,
    /// As this channel sees it
    channel: Option<Code>,
}

/// Stock of the products that exist, in the order asked for
#[derive(Serialize, ToSchema)]
pub(super) struct StockList {
    items: Vec<StockView>,
    /// Those asked for that do not exist
    unknown: Vec<String>,
}

/// Read the stock of many products
///
/// An item for each that exists, as often as it is named; those that do not exist stand in `unknown`.
#[utoipa::path(post, path = "/v1/stock/query", tag = "stock",
    security(("key" = ["stock:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    request_body = StockQuery,
    responses((status = 200, description = "Their stock", body = StockList)))]
pub(super) async fn query_stock(
    State(inventory): State<Inventory>,
    limits: Limits,
    Json(query): Json<StockQuery>,
) -> Result<Reply, Problem> {
    let skus: Vec<String> = query.skus.into_iter().map(|sku| sku.0).collect();
    let channel = limits.channels.choose(query.channel.map(|code| code.0))?;
    let items = inventory.stock(&skus, channel.as_deref(), &limits.warehouses).await?;
    let known: HashSet<&str> = items.iter().map(|item| item.sku.as_str()).collect();
    let unknown = skus.iter().filter(|sku| !known.contains(sku.as_str())).cloned().collect();
    Ok(Reply::ok(&StockList { items, unknown }))
}
