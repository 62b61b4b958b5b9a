//! `GET /v1/users`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::{Access, User};
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListUsers {
    #[param(min_length = 1, max_length = 32)]
    role: Option<String>,
    /// Only those who cannot log in, or only those who can
    disabled: Option<bool>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List the users
///
/// The newest first.
#[utoipa::path(get, path = "/v1/users", tag = "access", security(("key" = ["admin:read"])), params(ListUsers),
    responses((status = 200, description = "A page of users", body = Page<User>)))]
pub(super) async fn list_users(State(access): State<Access>, Query(query): Query<ListUsers>) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&access.list_users(page, query.role.as_deref(), query.disabled).await?))
}
