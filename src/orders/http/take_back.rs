//! `POST /v1/orders/{id}/returns`

use axum::extract::State;

use crate::orders::Orders;
use crate::orders::fulfil::NewReturn;
use crate::orders::model::Return;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Take goods back
///
/// Goods that were shipped come back: to good stock, into quarantine, or to be thrown away.
#[utoipa::path(post, path = "/v1/orders/{id}/returns", tag = "orders",
    params(("id" = String, Path, description = "Its id or its number", example = "1001")), request_body = NewReturn, responses(
    (status = 201, description = "Taken back", body = Return),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "More than is with the customer (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn return_order(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    command: Command<Json<NewReturn>>,
) -> Result<Reply, Problem> {
    let run = command.run((orders, id), |tx, (orders, id), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id).await?;
            let taken = orders.take_back_in_tx(tx, &order, &command.body.0, command.caller.id).await?;
            Ok(Reply::booked(&taken))
        })
    });
    run.await
}
