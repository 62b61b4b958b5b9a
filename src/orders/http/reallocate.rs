//! `POST /v1/orders/{id}/reallocate`

use axum::extract::State;

use super::changed;
use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::change::Reallocation;
use crate::orders::model::Order;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Send an order from another warehouse
///
/// What is open and allocated elsewhere, or waits for stock, is allocated in this warehouse instead: all that is asked for or
/// nothing. It need not be one that the channel sells from.
#[utoipa::path(post, path = "/v1/orders/{id}/reallocate", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001")), request_body = Reallocation, responses(
    (status = 200, description = "The order as it is now", body = Order),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "Not enough stock there (`insufficient-stock`), or nothing is open elsewhere (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn reallocate_order(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<Reallocation>>,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&command.body.0.warehouse.0)?;
    let run = command.run((orders, id, limits), |tx, (orders, id, limits), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id, limits).await?;
            command.was(&order.trace());
            Ok(changed(&orders.reallocate_in_tx(tx, &order, &command.body.0).await?))
        })
    });
    run.await
}
