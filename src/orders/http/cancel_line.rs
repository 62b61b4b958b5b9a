//! `POST /v1/orders/{id}/lines/{line_id}/cancel`

use axum::extract::State;
use uuid::Uuid;

use super::changed;
use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::change::LineCancellation;
use crate::orders::model::Order;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Cancel units of a line
///
/// What waits for stock goes first. What is allocated is available again at once, and orders that wait are served first.
/// Where nothing is left of the order, it is cancelled.
#[utoipa::path(post, path = "/v1/orders/{id}/lines/{line_id}/cancel", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001"), ("line_id" = Uuid, Path)),
    request_body = LineCancellation, responses(
    (status = 200, description = "The order as it is now", body = Order),
    (status = 404, description = "No such order, or no such line of it", body = ProblemDocument),
    (status = 409, description = "So many are not open (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn cancel_order_line(
    State(orders): State<Orders>,
    Path((id, line)): Path<(String, Uuid)>,
    limits: Limits,
    command: Command<Json<LineCancellation>>,
) -> Result<Reply, Problem> {
    let run = command.run((orders, id, line, limits), |tx, (orders, id, line, limits), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id, limits).await?;
            command.was(&order.trace());
            command.about(format!("/v1/orders/{}", order.head.id));
            Ok(changed(&orders.cancel_line_in_tx(tx, &order, *line, &command.body.0).await?))
        })
    });
    run.await
}
