//! `POST /v1/orders/{id}/labels`

use axum::extract::State;
use axum::http::StatusCode;

use crate::access::Limits;
use crate::carriers::Carriers;
use crate::carriers::model::label::{Label, LabelStatus, NewLabel};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Make a label for a parcel of an order
///
/// With `manual`, it is the shop's own: drawn here, with the carrier's number where there is one. With `easypost`, it is bought at
/// a rate that was asked for before. Ship with the label's `carrier` and `tracking_number` when the parcel leaves.
#[utoipa::path(post, path = "/v1/orders/{id}/labels", tag = "labels",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001")), request_body = NewLabel, responses(
    (status = 201, description = "Made", body = Label),
    (status = 202, description = "The provider is asked for it: it is `buying`", body = Label),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "The order is not to be sent, or has no address, or the parcel has a label (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn make_label(
    State(carriers): State<Carriers>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<Json<NewLabel>>,
) -> Result<Reply, Problem> {
    if let Some(warehouse) = &command.body.0.warehouse {
        limits.warehouses.check(&warehouse.0)?;
    }
    let run = command.run((carriers, id, limits), |tx, (carriers, id, limits), command| {
        Box::pin(async move {
            let order = carriers.orders.lock_in_tx(tx, id, limits).await?;
            let label = carriers.make_label_in_tx(tx, &order, &command.body.0, limits).await?;
            let mut reply = Reply::created(format!("/v1/labels/{}", label.id), &label).told_as(&label.trace());
            if label.status == LabelStatus::Buying {
                reply.status = StatusCode::ACCEPTED;
            }
            Ok(reply)
        })
    });
    run.await
}
