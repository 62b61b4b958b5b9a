//! `GET /v1/keys`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::{Access, Key, KeyStatus};
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListKeys {
    #[param(inline)]
    status: Option<KeyStatus>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List the keys
///
/// What they may do and when they were last used, never their secrets. The newest first.
#[utoipa::path(get, path = "/v1/keys", tag = "access", security(("key" = ["admin:read"])), params(ListKeys),
    responses((status = 200, description = "A page of keys", body = Page<Key>)))]
pub(super) async fn list_keys(State(access): State<Access>, Query(query): Query<ListKeys>) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&access.list(page, query.status).await?))
}
