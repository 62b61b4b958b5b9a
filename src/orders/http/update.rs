//! `PATCH /v1/orders/{id}`

use axum::extract::State;

use super::changed;
use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::change::OrderFields;
use crate::orders::model::Order;
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::patch::Patch;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

pub(super) type OrderFieldsPatch = Patch<OrderFields>;

/// Change who gets an order, and how
///
/// A JSON merge patch (RFC 7396). Lines are changed by calls of their own.
#[utoipa::path(patch, path = "/v1/orders/{id}", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001")),
    request_body(content = OrderFieldsPatch, content_type = "application/merge-patch+json", example = json!({"ship_together": true, "note": "Ring twice"})), responses(
    (status = 200, description = "The order as it is now", body = Order),
    (status = 404, description = "No such order", body = ProblemDocument),
))]
pub(super) async fn update_order(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<OrderFieldsPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((orders, id, limits), |tx, (orders, id, limits), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id, limits).await?;
            command.on_told_as(&order, &order.trace())?;
            let fields = command.body.apply(&command.schemas, &OrderFields::of(&order))?;
            Ok(changed(&orders.change_in_tx(tx, &order, &fields).await?))
        })
    });
    run.await
}
