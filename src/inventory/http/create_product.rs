//! `POST /v1/products`

use axum::extract::State;
use url::form_urlencoded;

use crate::inventory::Inventory;
use crate::inventory::model::product::{NewProduct, Product};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Create a product
///
/// Its parent and substitutes must exist.
#[utoipa::path(post, path = "/v1/products", tag = "products", request_body = NewProduct, responses(
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
            Ok(Reply::created(address(&product.fields.sku.0), &product))
        })
    });
    run.await
}

/// A sku may hold slashes, and letters that a header must not. It has no spaces, for which form encoding
/// would be wrong in a path.
fn address(sku: &str) -> String {
    format!("/v1/products/{}", form_urlencoded::byte_serialize(sku.as_bytes()).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(address("TEA-1"), "/v1/products/TEA-1");
        assert_eq!(address("a/b?ü"), "/v1/products/a%2Fb%3F%C3%BC");
    }
}
