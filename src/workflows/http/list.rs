//! `GET /v1/workflows`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::workflows::Workflows;
use crate::workflows::model::Workflow;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListWorkflows {
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List workflows
///
/// In the order of their codes.
#[utoipa::path(get, path = "/v1/workflows", tag = "workflows", security(("key" = ["orders:read"])), params(ListWorkflows),
    responses((status = 200, description = "A page of workflows", body = Page<Workflow>)))]
pub(super) async fn list_workflows(
    State(workflows): State<Workflows>,
    Query(query): Query<ListWorkflows>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&workflows.list(page).await?))
}
