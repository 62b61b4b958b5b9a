//! `PATCH /v1/orders/{id}/lines/{line_id}`

use axum::extract::State;
use uuid::Uuid;

use super::changed;
use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::change::OrderLineFields;
use crate::orders::model::Order;
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::patch::Patch;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

pub(super) type OrderLineFieldsPatch = Patch<OrderLineFields>;

/// Promise a line for another day
///
/// A JSON merge patch (RFC 7396).
#[utoipa::path(patch, path = "/v1/orders/{id}/lines/{line_id}", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001"), ("line_id" = Uuid, Path)),
    request_body(content = OrderLineFieldsPatch, content_type = "application/merge-patch+json", example = json!({"promised_for": "2027-02-01"})), responses(
    (status = 200, description = "The order as it is now", body = Order),
    (status = 404, description = "No such order, or no such line of it", body = ProblemDocument),
))]
pub(super) async fn update_order_line(
    State(orders): State<Orders>,
    Path((id, line)): Path<(String, Uuid)>,
    limits: Limits,
    command: Command<OrderLineFieldsPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((orders, id, line, limits), |tx, (orders, id, line, limits), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id, limits).await?;
            command.on_told_as(&order, &order.trace())?;
            command.about(format!("/v1/orders/{}", order.head.id));
            let promised_for = order.lines.iter().find(|it| it.id == *line).and_then(|it| it.promised_for);
            let fields = command.body.apply(&command.schemas, &OrderLineFields { promised_for })?;
            Ok(changed(&orders.change_line_in_tx(tx, &order, *line, &fields).await?))
        })
    });
    run.await
}
