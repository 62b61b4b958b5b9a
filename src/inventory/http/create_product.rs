//! `POST /v1/products`

use axum::extract::State;

use super::segment;
use crate::inventory::Inventory;
use crate::inventory::model::product::{NewProduct, Product};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Create a product
///
/// Its parent and substitutes must exist.
#[utoipa::path(post, path = "/v1/products", tag = "products",
    security(("key" = ["catalog:write"])),
    request_body = NewProduct, responses(
    (status = 201, description = "Created", body = Product),
    (status = 409, description = "The sku or a barcode is taken (`already-exists`)", body = ProblemDocument),
))]
pub(super) async fn create_product(
    State(inventory): State<Inventory>,
    command: Command<Json<NewProduct>>,
) -> Result<Reply, Problem> {
    let run = command.run(inventory, |tx, inventory, command| {
        Box::pin(async move {
            let new = std::slice::from_ref(&command.body.0);
            let mut outcomes = inventory.create_products_in_tx(tx, new).await?;
            let product = outcomes.pop().expect("one was asked for")?;
            Ok(Reply::created(format!("/v1/products/{}", segment(&product.fields.sku.0)), &product))
        })
    });
    run.await
}
