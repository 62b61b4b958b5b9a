//! `GET /v1/stock/movements`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Limits;
use crate::inventory::Inventory;
use crate::inventory::model::views::MovementView;
use crate::inventory::repo::ledger::Filter;
use crate::platform::clock::Timestamp;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListMovements {
    #[param(max_length = 64, example = "TEA-1")]
    sku: Option<String>,
    /// Into or out of this warehouse
    #[param(max_length = 32, example = "LONDON")]
    warehouse: Option<String>,
    #[param(max_length = 40, example = "received")]
    reason: Option<String>,
    /// Booked at this time or later
    #[param(format = DateTime, example = "2026-11-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// Booked before this time
    #[param(format = DateTime, example = "2026-12-01T00:00:00Z")]
    to: Option<Timestamp>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List the ledger
///
/// Double entry: each row moves a quantity from one place to another. The newest first.
#[utoipa::path(get, path = "/v1/stock/movements", tag = "stock",
    security(("key" = ["stock:read"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(ListMovements),
    responses((status = 200, description = "A page of movements", body = Page<MovementView>)))]
pub(super) async fn list_movements(
    State(inventory): State<Inventory>,
    limits: Limits,
    Query(query): Query<ListMovements>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let ListMovements { sku, warehouse, reason, from, to, .. } = query;
    let filter = Filter { sku, warehouses: limits.warehouses.among(warehouse)?, reason, from, to };
    Ok(Reply::ok(&inventory.movements(&filter, page).await?))
}
