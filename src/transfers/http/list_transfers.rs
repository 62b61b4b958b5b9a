//! `GET /v1/transfers`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Limits;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::transfers::repo::Filter;
use crate::transfers::{Transfer, TransferStatus, Transfers};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListTransfers {
    #[param(inline)]
    status: Option<TransferStatus>,
    /// Out of this warehouse
    #[param(max_length = 32, example = "LONDON")]
    from: Option<String>,
    /// Into this warehouse
    #[param(max_length = 32, example = "LEEDS")]
    to: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List transfers
///
/// With their lines, the newest first.
#[utoipa::path(get, path = "/v1/transfers", tag = "transfers",
    security(("key" = ["warehouse_ops:read"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(ListTransfers),
    responses((status = 200, description = "A page of transfers", body = Page<Transfer>)))]
pub(super) async fn list_transfers(
    State(transfers): State<Transfers>,
    limits: Limits,
    Query(query): Query<ListTransfers>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let ListTransfers { status, from, to, .. } = query;
    Ok(Reply::ok(&transfers.list(&Filter { status, from, to, touching: limits.warehouses.among(None)? }, page).await?))
}
