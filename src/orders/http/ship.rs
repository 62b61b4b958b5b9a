//! `POST /v1/orders/{id}/shipments`

use std::sync::Arc;

use axum::extract::State;

use crate::access::Limits;
use crate::orders::fulfil::NewShipment;
use crate::orders::model::Shipment;
use crate::orders::{Orders, Process};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Ship goods of an order
///
/// From one warehouse, all that is allocated there or part of it. Takes from allocated and on hand together.
#[utoipa::path(post, path = "/v1/orders/{id}/shipments", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001")), request_body = NewShipment, responses(
    (status = 201, description = "Shipped", body = Shipment),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "More than is allocated there, or the order is not to be shipped (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn ship_order(
    State((orders, process)): State<(Orders, Arc<dyn Process>)>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<NewShipment>>,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&command.body.0.warehouse.0)?;
    let run = command.run((orders, process, id, limits), |tx, (orders, process, id, limits), command| {
        Box::pin(async move {
            let mut order = orders.lock_in_tx(tx, id, limits).await?;
            if process.catch_up_in_tx(tx, &order).await? {
                order = orders.lock_in_tx(tx, id, limits).await?;
            }
            command.was(&order.trace());
            let shipment = orders.ship_in_tx(tx, &order, &command.body.0, command.caller.id).await?;
            Ok(Reply::booked(&shipment).told_as(&shipment.trace()))
        })
    });
    run.await
}
