//! `POST /v1/return-requests/{id}/approve`

use axum::extract::State;
use uuid::Uuid;

use super::changed;
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::returns::Returns;
use crate::returns::model::{Approval, ReturnRequest};

/// Approve a return
///
/// All that was asked for, or less; `restocking_fee` is kept of what was paid.
#[utoipa::path(post, path = "/v1/return-requests/{id}/approve", tag = "returns",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), request_body = Approval, responses(
    (status = 200, description = "As it is now", body = ReturnRequest),
    (status = 404, description = "No such return", body = ProblemDocument),
    (status = 409, description = "It is not to be decided any more (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn approve_return(
    State(returns): State<Returns>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<Approval>>,
) -> Result<Reply, Problem> {
    let run = command.run((returns, id, limits), |tx, (returns, id, limits), command| {
        Box::pin(async move {
            let (_, mut request) = returns.lock_in_tx(tx, *id, limits).await?;
            command.on_told_as(&request, &request.trace())?;
            request.approve(&command.body.0)?;
            Ok(changed(&returns.save_in_tx(tx, &request, "return.approved").await?))
        })
    });
    run.await
}
