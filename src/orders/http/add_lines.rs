//! `POST /v1/orders/{id}/lines`

use axum::extract::State;

use super::changed;
use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::change::AddedLines;
use crate::orders::model::Order;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Add lines to an order
///
/// All of it must be there or may be backordered. What the order comes to rises, and may not be covered by its payments any more.
#[utoipa::path(post, path = "/v1/orders/{id}/lines", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001")), request_body = AddedLines, responses(
    (status = 200, description = "The order as it is now", body = Order),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "Not enough stock (`insufficient-stock`), or the order is not placed or full (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn add_order_lines(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    limits: Limits,
    mut command: Command<Json<AddedLines>>,
) -> Result<Reply, Problem> {
    command.body.0.keep_within(&limits)?;
    let run = command.run((orders, id, limits), |tx, (orders, id, limits), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id, limits).await?;
            command.was(&order.trace());
            Ok(changed(&orders.add_lines_in_tx(tx, &order, &command.body.0.lines).await?))
        })
    });
    run.await
}
