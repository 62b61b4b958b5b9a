//! `GET /v1/audit`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::access::Access;
use crate::platform::audit::{Change, Filter, Place};
use crate::platform::clock::Timestamp;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListAudit {
    /// The id of who made the change
    caller: Option<Uuid>,
    /// Method and route as in this document, or the command
    #[param(min_length = 1, max_length = 200, example = "PATCH /v1/products/{sku}")]
    operation: Option<String>,
    /// The address of what was changed, or of what it is part of: `/v1/orders/{id}` has all that was done to the order
    #[param(min_length = 1, max_length = 500, example = "/v1/products/TEA-1")]
    subject: Option<String>,
    #[param(min_length = 1, max_length = 64)]
    request_id: Option<String>,
    /// From this time on
    from: Option<Timestamp>,
    /// Before this time
    to: Option<Timestamp>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List who changed what
///
/// Every change that was made: by whom, from where, how the thing was before and what it became. Nobody can change or
/// delete an entry. What was refused changed nothing and is not here. The newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "access", security(("key" = ["admin:read"])), params(ListAudit),
    responses((status = 200, description = "A page of changes", body = Page<Change>)))]
pub(super) async fn list_audit(State(access): State<Access>, Query(query): Query<ListAudit>) -> Result<Reply, Problem> {
    let page = PageRequest::<Place>::new(query.limit, query.cursor.as_deref())?;
    let ListAudit { caller, operation, subject, request_id, from, to, .. } = query;
    let filter = Filter { caller, operation, subject, request_id, from, to };
    Ok(Reply::ok(&access.audit(&filter, page).await?))
}
