//! `GET /v1/stock/{sku}/levels/{warehouse}`

use axum::extract::State;

use crate::access::Limits;
use crate::inventory::{Inventory, LevelView};
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a level
///
/// All quantities of a product in one warehouse; zero where there was never any.
#[utoipa::path(get, path = "/v1/stock/{sku}/levels/{warehouse}", tag = "stock",
    security(("key" = ["stock:read"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("sku" = String, Path, example = "TEA-1"), ("warehouse" = String, Path, example = "LONDON")), responses(
    (status = 200, description = "The level", body = LevelView),
    (status = 404, description = "No such product or warehouse", body = ProblemDocument),
))]
pub(super) async fn get_level(
    State(inventory): State<Inventory>,
    Path((sku, warehouse)): Path<(String, String)>,
    limits: Limits,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&warehouse)?;
    Ok(Reply::resource(&inventory.get_level(&sku, &warehouse).await?))
}
