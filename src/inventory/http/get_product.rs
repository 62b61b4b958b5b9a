//! `GET /v1/products/{sku}`

use axum::extract::State;

use crate::inventory::Inventory;
use crate::inventory::model::product::Product;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a product
#[utoipa::path(get, path = "/v1/products/{sku}", tag = "products",
    security(("key" = ["catalog:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("sku" = String, Path, example = "TEA-1")), responses(
    (status = 200, description = "The product", body = Product),
    (status = 404, description = "No such product", body = ProblemDocument),
))]
pub(super) async fn get_product(State(inventory): State<Inventory>, Path(sku): Path<String>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&inventory.get_product(&sku).await?))
}
