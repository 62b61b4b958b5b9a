//! `POST /v1/orders/{id}/return-requests`

use axum::extract::State;

use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::returns::Returns;
use crate::returns::model::{NewReturnRequest, ReturnRequest};

/// Ask for a return
///
/// Of what is with the customer and in no other return that is still to come. Goods that are there already are taken back at
/// once with `POST /v1/orders/{id}/returns`.
#[utoipa::path(post, path = "/v1/orders/{id}/return-requests", tag = "returns",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001")), request_body = NewReturnRequest, responses(
    (status = 201, description = "Asked for", body = ReturnRequest),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "That is more than is with the customer (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn request_return(
    State(returns): State<Returns>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<NewReturnRequest>>,
) -> Result<Reply, Problem> {
    let run = command.run((returns, id, limits), |tx, (returns, id, limits), command| {
        Box::pin(async move {
            let request = returns.request_in_tx(tx, id, &command.body.0, limits).await?;
            Ok(Reply::created(format!("/v1/return-requests/{}", request.id), &request).told_as(&request.trace()))
        })
    });
    run.await
}
