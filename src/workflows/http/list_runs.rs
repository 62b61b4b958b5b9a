//! `GET /v1/workflow-runs`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Limits;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::workflows::Workflows;
use crate::workflows::model::{RunStatus, WorkflowRun};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRuns {
    #[param(inline)]
    status: Option<RunStatus>,
    #[param(max_length = 32, example = "web")]
    channel: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List where orders are in their workflows
///
/// The newest orders first. `status=stuck` are those that somebody has to decide of.
#[utoipa::path(get, path = "/v1/workflow-runs", tag = "workflows",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(ListRuns),
    responses((status = 200, description = "A page of them", body = Page<WorkflowRun>)))]
pub(super) async fn list_workflow_runs(
    State(workflows): State<Workflows>,
    limits: Limits,
    Query(query): Query<ListRuns>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let channels = limits.channels.among(query.channel)?;
    Ok(Reply::ok(&workflows.list_runs(query.status, channels, page).await?))
}
