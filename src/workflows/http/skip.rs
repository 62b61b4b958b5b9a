//! `POST /v1/orders/{id}/workflow/skip`

use axum::extract::State;

use super::decide;
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::workflows::model::{Decision, WorkflowRun};
use crate::workflows::{Choice, Workflows};

/// Skip the present step of an order
///
/// As if it were done: an order whose payment is skipped is shipped unpaid.
#[utoipa::path(post, path = "/v1/orders/{id}/workflow/skip", tag = "workflows",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001")), request_body = Decision, responses(
    (status = 200, description = "Where it is then", body = WorkflowRun),
    (status = 404, description = "No such order, or it goes through no workflow", body = ProblemDocument),
    (status = 409, description = "It has ended, or is being given up (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn skip_step(
    State(workflows): State<Workflows>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<Decision>>,
) -> Result<Reply, Problem> {
    decide(workflows, id, limits, command, Choice::Skip).await
}
