//! `POST /v1/orders/{id}/returns`

use axum::extract::State;

use crate::access::Limits;
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
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001")), request_body = NewReturn, responses(
    (status = 201, description = "Taken back", body = Return),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "More than is with the customer (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn return_order(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<NewReturn>>,
) -> Result<Reply, Problem> {
    command.body.0.lines.iter().try_for_each(|line| limits.warehouses.check(&line.warehouse.0))?;
    let run = command.run((orders, id, limits), |tx, (orders, id, limits), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id, limits).await?;
            command.was(&order.trace());
            let taken = orders.take_back_in_tx(tx, &order, &command.body.0, command.caller.id).await?;
            Ok(Reply::booked(&taken).told_as(&taken.trace()))
        })
    });
    run.await
}
