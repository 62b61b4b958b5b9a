//! `POST /v1/orders/{id}/workflow/approve`

use axum::extract::State;

use super::decide;
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::workflows::model::{Decision, WorkflowRun};
use crate::workflows::{Choice, Workflows};

/// Approve an order that waits to be reviewed
///
/// It goes on with the next step.
#[utoipa::path(post, path = "/v1/orders/{id}/workflow/approve", tag = "workflows",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001")), request_body = Decision, responses(
    (status = 200, description = "Where it is then", body = WorkflowRun),
    (status = 404, description = "No such order, or it goes through no workflow", body = ProblemDocument),
    (status = 409, description = "It does not wait for a review (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn approve_step(
    State(workflows): State<Workflows>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<Decision>>,
) -> Result<Reply, Problem> {
    decide(workflows, id, limits, command, Choice::Approve).await
}
