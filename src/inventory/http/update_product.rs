//! `PATCH /v1/products/{sku}`

use axum::extract::State;

use super::ProductPatch;
use crate::inventory::Inventory;
use crate::inventory::model::product::Product;
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Change a product
///
/// A JSON merge patch (RFC 7396). The sku itself cannot be changed. A limit below what is promised already
/// stops new promises and breaks none.
#[utoipa::path(patch, path = "/v1/products/{sku}", tag = "products",
    security(("key" = ["catalog:write"])),
    params(("sku" = String, Path, example = "TEA-1")),
    request_body(content = ProductPatch, content_type = "application/merge-patch+json", example = json!({"availability": {"backorder_limit": 50}})), responses(
    (status = 200, description = "The product as it is now", body = Product),
    (status = 404, description = "No such product", body = ProblemDocument),
    (status = 409, description = "A barcode belongs to another product (`already-exists`)", body = ProblemDocument),
))]
pub(super) async fn update_product(
    State(inventory): State<Inventory>,
    Path(sku): Path<String>,
    command: Command<ProductPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((inventory, sku), |tx, (inventory, sku), command| {
        Box::pin(async move {
            let current = inventory.lock_product_in_tx(tx, sku).await?;
            command.on(&current)?;
            let fields = command.body.apply(&command.schemas, &current.fields)?;
            Ok(Reply::resource(&inventory.update_product_in_tx(tx, &current, &fields).await?))
        })
    });
    run.await
}
