//! `POST /v1/transfers/{id}/receipts`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::transfers::{NewReceipt, Transfer, Transfers};

/// Receive a transfer, or a part of it
///
/// Without lines, everything that is still open arrives in good condition. `close` writes off what is open
/// after this receipt as lost. Once nothing is open, the transfer is received.
#[utoipa::path(post, path = "/v1/transfers/{id}/receipts", tag = "transfers",
    security(("key" = ["warehouse_ops:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), request_body = NewReceipt, responses(
    (status = 201, description = "Booked: the transfer as it is now", body = Transfer),
    (status = 404, description = "No such transfer", body = ProblemDocument),
    (status = 409, description = "It is not in transit (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn receive_transfer(
    State(transfers): State<Transfers>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<NewReceipt>>,
) -> Result<Reply, Problem> {
    let run = command.run((transfers, id, limits), |tx, (transfers, id, limits), command| {
        Box::pin(async move {
            let sent = transfers.lock_in_tx(tx, *id, &limits.warehouses, |transfer| &transfer.to).await?;
            command.was(&sent);
            Ok(Reply::booked(&transfers.receive_in_tx(tx, &sent, &command.body.0, command.caller.id).await?))
        })
    });
    run.await
}
