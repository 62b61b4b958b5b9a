//! `POST /v1/return-requests/{id}/exchange`

use axum::extract::State;
use uuid::Uuid;

use super::changed;
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::returns::Returns;
use crate::returns::model::{Exchange, ReturnRequest};

/// Send something else in the place of what came back
///
/// An order is placed for the same customer, once. What was paid for what has come is taken off it, and is not to be refunded any
/// more; what the order costs beyond that is to be paid, and what is left of the credit is to be refunded.
#[utoipa::path(post, path = "/v1/return-requests/{id}/exchange", tag = "returns",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), request_body = Exchange, responses(
    (status = 200, description = "As it is now; `exchange` names the order", body = ReturnRequest),
    (status = 404, description = "No such return", body = ProblemDocument),
    (status = 409, description = "Nothing has come yet, it was exchanged before, or it has no price (`invalid-state`); or there is not enough stock (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn exchange_return(
    State(returns): State<Returns>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<Exchange>>,
) -> Result<Reply, Problem> {
    let run = command.run((returns, id, limits), |tx, (returns, id, limits), command| {
        Box::pin(async move {
            let (order, request) = returns.lock_in_tx(tx, *id, limits).await?;
            command.on_told_as(&request, &request.trace())?;
            Ok(changed(&returns.exchange_in_tx(tx, &order, request, &command.body.0.lines).await?))
        })
    });
    run.await
}
