//! `POST /v1/orders/{id}/shipments/{shipment_id}/deliver`

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Limits;
use crate::orders::Orders;
use crate::orders::model::Shipment;
use crate::platform::clock::Timestamp;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// That a shipment has arrived
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"delivered_at": "2026-11-23T09:30:00.000Z"}))]
pub(super) struct Delivery {
    /// When it arrived, if not now
    delivered_at: Option<Timestamp>,
}

/// Mark a shipment as delivered
///
/// When all is shipped and has arrived, the order is completed. Marking twice is fine.
#[utoipa::path(post, path = "/v1/orders/{id}/shipments/{shipment_id}/deliver", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001"), ("shipment_id" = Uuid, Path)), request_body = Delivery, responses(
    (status = 200, description = "The shipment as it is now", body = Shipment),
    (status = 404, description = "No such order or shipment", body = ProblemDocument),
))]
pub(super) async fn deliver_shipment(
    State(orders): State<Orders>,
    Path(path): Path<(String, Uuid)>,
    limits: Limits,
    command: Command<Json<Delivery>>,
) -> Result<Reply, Problem> {
    let run = command.run((orders, path, limits), |tx, (orders, (id, shipment_id), limits), command| {
        Box::pin(async move {
            let order = orders.lock_in_tx(tx, id, limits).await?;
            command.was(&order.trace());
            let delivered_at = command.body.0.delivered_at;
            let shipment = orders.deliver_in_tx(tx, &order, *shipment_id, &limits.warehouses, delivered_at).await?;
            Ok(Reply::ok(&shipment).told_as(&shipment.trace()))
        })
    });
    run.await
}
