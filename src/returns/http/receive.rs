//! `POST /v1/return-requests/{id}/receive`

use axum::extract::State;
use uuid::Uuid;

use super::changed;
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::returns::Returns;
use crate::returns::model::{ReturnReceipt, ReturnRequest};

/// Receive goods of a return
///
/// As often as some come. They are booked as `POST /v1/orders/{id}/returns` books them; more than was approved comes in as well, and is marked `over`.
#[utoipa::path(post, path = "/v1/return-requests/{id}/receive", tag = "returns",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), request_body = ReturnReceipt, responses(
    (status = 200, description = "As it is now", body = ReturnRequest),
    (status = 404, description = "No such return", body = ProblemDocument),
    (status = 409, description = "It is not approved, or that is more than is with the customer (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn receive_return(
    State(returns): State<Returns>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<ReturnReceipt>>,
) -> Result<Reply, Problem> {
    let run = command.run((returns, id, limits), |tx, (returns, id, limits), command| {
        Box::pin(async move {
            let (order, request) = returns.lock_in_tx(tx, *id, limits).await?;
            command.on_told_as(&request, &request.trace())?;
            let request = returns.receive_in_tx(tx, &order, request, &command.body.0, command.caller.id).await?;
            Ok(changed(&request))
        })
    });
    run.await
}
