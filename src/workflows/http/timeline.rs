//! `GET /v1/orders/{id}/timeline`

use axum::extract::State;

use crate::access::Limits;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::workflows::Workflows;
use crate::workflows::model::Timeline;

/// Read what happened to an order
///
/// Each step of its workflow, each attempt, what went wrong and who decided what; and what was done with its money.
#[utoipa::path(get, path = "/v1/orders/{id}/timeline", tag = "workflows",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001")), responses(
    (status = 200, description = "The oldest first", body = Timeline),
    (status = 404, description = "No such order", body = ProblemDocument),
))]
pub(super) async fn get_timeline(
    State(workflows): State<Workflows>,
    Path(id): Path<String>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::ok(&workflows.timeline(&id, &limits).await?))
}
