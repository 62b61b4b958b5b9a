//! `POST /v1/products/batch`

use axum::extract::State;

use crate::inventory::Inventory;
use crate::inventory::model::product::NewProduct;
use crate::platform::batch::{Batch, BatchAnswer};
use crate::platform::command::Command;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

type ProductBatch = Batch<NewProduct>;

/// Create many products
///
/// Up to 1,000 products, each on its own: one that is refused does not fail its neighbours. Of two with one
/// sku or barcode the first wins. They may name each other as parent or substitute, in any order.
#[utoipa::path(post, path = "/v1/products/batch", tag = "products",
    security(("key" = ["catalog:write"])),
    request_body(content = ProductBatch, example = json!({"items": [{"sku": "TEA-1", "name": "Assam tea, 250 g"}, {"sku": "TEA-2", "name": "Darjeeling, 250 g"}]})),
    responses((status = 200, description = "What became of each, in order", body = BatchAnswer)))]
pub(super) async fn create_products_batch(
    State(inventory): State<Inventory>,
    command: Command<ProductBatch>,
) -> Result<Reply, Problem> {
    let run = command.run(inventory, |tx, inventory, command| {
        Box::pin(async move {
            let outcomes = inventory.create_products_in_tx(tx, command.body.valid()).await?;
            Ok(command.body.answer(outcomes)?.reply())
        })
    });
    run.await
}
