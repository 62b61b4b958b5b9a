//! `POST /v1/return-requests/{id}/reject`

use axum::extract::State;
use uuid::Uuid;

use super::changed;
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::returns::Returns;
use crate::returns::model::{Rejection, ReturnRequest};

/// Reject a return
///
/// The customer keeps it.
#[utoipa::path(post, path = "/v1/return-requests/{id}/reject", tag = "returns",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), request_body = Rejection, responses(
    (status = 200, description = "As it is now", body = ReturnRequest),
    (status = 404, description = "No such return", body = ProblemDocument),
    (status = 409, description = "It is not to be decided any more (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn reject_return(
    State(returns): State<Returns>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<Rejection>>,
) -> Result<Reply, Problem> {
    let run = command.run((returns, id, limits), |tx, (returns, id, limits), command| {
        Box::pin(async move {
            let (_, mut request) = returns.lock_in_tx(tx, *id, limits).await?;
            command.on_told_as(&request, &request.trace())?;
            request.reject(&command.body.0.reason)?;
            Ok(changed(&returns.save_in_tx(tx, &request, "return.rejected").await?))
        })
    });
    run.await
}
