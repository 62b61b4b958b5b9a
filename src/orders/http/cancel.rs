//! `POST /v1/orders/{id}/cancel`

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::changed;
use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::model::Order;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Why an order is cancelled
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "changed my mind"}))]
pub(super) struct Cancellation {
    #[schema(max_length = 200)]
    reason: Option<String>,
}

/// Cancel an order
///
/// Cancels what is not shipped yet; its stock is available again at once, and orders that wait are served first.
/// Cancelling twice is fine.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001")), request_body = Cancellation, responses(
    (status = 200, description = "The order as it is now", body = Order),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "Everything is shipped (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn cancel_order(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<Cancellation>>,
) -> Result<Reply, Problem> {
    let run = command.run((orders, id, limits), |tx, (orders, id, limits), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id, limits).await?;
            command.was(&order.trace());
            let reason = command.body.0.reason.as_deref();
            Ok(changed(&orders.cancel_in_tx(tx, &order, reason).await?))
        })
    });
    run.await
}
