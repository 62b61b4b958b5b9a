//! `GET /v1/carts`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Limits;
use crate::carts::Carts;
use crate::carts::model::{Cart, CartStatus, Filter};
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListCarts {
    #[param(inline)]
    status: Option<CartStatus>,
    #[param(max_length = 32, example = "web")]
    channel: Option<String>,
    #[param(max_length = 200, example = "session-4711")]
    reference: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List carts
///
/// The newest first.
#[utoipa::path(get, path = "/v1/carts", tag = "carts",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(ListCarts),
    responses((status = 200, description = "A page of carts", body = Page<Cart>)))]
pub(super) async fn list_carts(
    State(carts): State<Carts>,
    limits: Limits,
    Query(query): Query<ListCarts>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let ListCarts { status, channel, reference, .. } = query;
    let filter = Filter { status, channels: limits.channels.among(channel)?, reference };
    Ok(Reply::ok(&carts.list(&filter, page).await?))
}
