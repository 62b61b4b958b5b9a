//! `POST /v1/orders/{id}/shipments/{shipment_id}/tracking`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carriers::Carriers;
use crate::carriers::model::{NewTracking, Tracking};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Report where a shipment is
///
/// Reports may come in any order, and more than once: each counts once, and the newest by its time (`at`) is where the
/// shipment is. With `delivered` the shipment has arrived, as with `…/deliver`.
#[utoipa::path(post, path = "/v1/orders/{id}/shipments/{shipment_id}/tracking", tag = "carriers",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001"), ("shipment_id" = Uuid, Path)), request_body = NewTracking, responses(
    (status = 200, description = "Where it is, and was", body = Tracking),
    (status = 404, description = "No such order or shipment", body = ProblemDocument),
    (status = 409, description = "1000 reports of it are kept already (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn report_tracking(
    State(carriers): State<Carriers>,
    Path(path): Path<(String, Uuid)>,
    limits: Limits,
    command: Command<Json<NewTracking>>,
) -> Result<Reply, Problem> {
    let run = command.run((carriers, path, limits), |tx, (carriers, (id, shipment_id), limits), command| {
        Box::pin(async move {
            let order = carriers.orders.lock_in_tx(tx, id, limits).await?;
            let (before, after) = carriers.report_in_tx(tx, &order, *shipment_id, &command.body.0, limits).await?;
            command.was(&before.trace());
            command.about(format!("/v1/orders/{}/shipments/{shipment_id}", order.head.id));
            let reply = Reply::ok(&after).told_as(&after.trace());
            Ok(if after.events.len() == before.events.len() { reply.of_no_change() } else { reply })
        })
    });
    run.await
}
