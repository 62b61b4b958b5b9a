//! Endpoints of products and stock.

mod adjust;
mod adjust_batch;
mod change_condition;
mod create_product;
mod create_products_batch;
mod delete_product;
mod explain;
mod get_level;
mod get_product;
mod get_stock;
mod list_movements;
mod list_products;
mod query_stock;
mod snapshot;
mod update_level;
mod update_product;

use url::form_urlencoded;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Inventory;
use super::model::product::NewProduct;
use crate::platform::patch::Patch;

type ProductPatch = Patch<NewProduct>;

pub fn router(inventory: Inventory) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_products::list_products, create_product::create_product))
        .routes(routes!(create_products_batch::create_products_batch))
        .routes(routes!(get_product::get_product, update_product::update_product, delete_product::delete_product))
        .routes(routes!(adjust::adjust_stock))
        .routes(routes!(adjust_batch::adjust_stock_batch))
        .routes(routes!(change_condition::change_condition))
        .routes(routes!(list_movements::list_movements))
        .routes(routes!(query_stock::query_stock))
        .routes(routes!(snapshot::snapshot_stock))
        .routes(routes!(get_stock::get_stock))
        .routes(routes!(explain::explain_stock))
        .routes(routes!(get_level::get_level, update_level::update_level))
        .with_state(inventory)
}

/// The address of a level, for the audit trail.
fn level_address(sku: &str, warehouse: &str) -> String {
    format!("/v1/stock/{}/levels/{}", segment(sku), segment(warehouse))
}

/// A sku may hold slashes, and letters that a header must not. It has no spaces, for which form encoding
/// would be wrong in a path.
fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(segment("TEA-1"), "TEA-1");
        assert_eq!(segment("a/b?ü"), "a%2Fb%3F%C3%BC");
    }
}
