//! `GET /v1/products`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::inventory::Inventory;
use crate::inventory::model::product::{Product, Tracking};
use crate::inventory::repo::products::Filter;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListProducts {
    #[param(max_length = 100, example = "tea")]
    category: Option<String>,
    /// Only variants of this product
    #[param(max_length = 64, example = "TEA")]
    parent: Option<String>,
    /// Only the product that this code is printed on
    #[param(max_length = 48, example = "4006381333931")]
    barcode: Option<String>,
    #[param(inline)]
    tracking: Option<Tracking>,
    /// Words to find in sku, name, category and description. The last may be unfinished; "quotes" make a phrase, `or` an alternative, a minus excludes
    #[param(min_length = 1, max_length = 200, example = "assam te")]
    q: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List products
///
/// In the order of their skus. All filters that are given must fit.
#[utoipa::path(get, path = "/v1/products", tag = "products",
    security(("key" = ["catalog:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(ListProducts),
    responses((status = 200, description = "A page of products", body = Page<Product>)))]
pub(super) async fn list_products(
    State(inventory): State<Inventory>,
    Query(query): Query<ListProducts>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let ListProducts { category, parent, barcode, tracking, q, .. } = query;
    let filter = Filter { category, parent, barcode, tracking, q };
    Ok(Reply::ok(&inventory.list_products(&filter, page).await?))
}
