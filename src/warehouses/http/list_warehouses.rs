//! `GET /v1/warehouses`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Limits;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::warehouses::{Warehouse, Warehouses};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListWarehouses {
    /// Only active or only inactive ones
    active: Option<bool>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List warehouses
///
/// In the order of their codes.
#[utoipa::path(get, path = "/v1/warehouses", tag = "warehouses",
    security(("key" = ["stock:read"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(ListWarehouses),
    responses((status = 200, description = "A page of warehouses", body = Page<Warehouse>)))]
pub(super) async fn list_warehouses(
    State(warehouses): State<Warehouses>,
    limits: Limits,
    Query(query): Query<ListWarehouses>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&warehouses.list(page, query.active, limits.warehouses.among(None)?).await?))
}
