//! `DELETE /v1/products/{sku}`

use axum::extract::State;

use crate::inventory::Inventory;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Delete a product
///
/// Only one of which nothing is in stock, expected or promised, and which is no other's parent. The ledger
/// and past orders keep naming it.
#[utoipa::path(delete, path = "/v1/products/{sku}", tag = "products",
    security(("key" = ["catalog:write"])),
    params(("sku" = String, Path, example = "TEA-1")), responses(
    (status = 204, description = "Deleted"),
    (status = 404, description = "No such product", body = ProblemDocument),
    (status = 409, description = "There is stock of it, something depends on it, or it is a parent (`in-use`)", body = ProblemDocument),
))]
pub(super) async fn delete_product(
    State(inventory): State<Inventory>,
    Path(sku): Path<String>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((inventory, sku), |tx, (inventory, sku), command| {
        Box::pin(async move {
            let current = inventory.lock_product_in_tx(tx, sku).await?;
            command.on(&current)?;
            inventory.delete_product_in_tx(tx, sku).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
