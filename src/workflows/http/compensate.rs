//! `POST /v1/orders/{id}/workflow/compensate`

use axum::extract::State;

use super::decide;
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::workflows::model::{Decision, WorkflowRun};
use crate::workflows::{Choice, Workflows};

/// Give an order up
///
/// What has not left is cancelled, and its money goes back.
#[utoipa::path(post, path = "/v1/orders/{id}/workflow/compensate", tag = "workflows",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001")), request_body = Decision, responses(
    (status = 200, description = "Where it is then", body = WorkflowRun),
    (status = 404, description = "No such order, or it goes through no workflow", body = ProblemDocument),
    (status = 409, description = "It has ended, or is being given up (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn compensate_order(
    State(workflows): State<Workflows>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<Decision>>,
) -> Result<Reply, Problem> {
    decide(workflows, id, limits, command, Choice::Compensate).await
}
