//! `GET /v1/workflows/{code}`

use axum::extract::State;

use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::workflows::Workflows;
use crate::workflows::model::Workflow;

/// Read a workflow
#[utoipa::path(get, path = "/v1/workflows/{code}", tag = "workflows", security(("key" = ["orders:read"])),
    params(("code" = String, Path, example = "standard")), responses(
    (status = 200, description = "The workflow", body = Workflow),
    (status = 404, description = "No such workflow", body = ProblemDocument),
))]
pub(super) async fn get_workflow(
    State(workflows): State<Workflows>,
    Path(code): Path<String>,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&workflows.get(&code).await?))
}
