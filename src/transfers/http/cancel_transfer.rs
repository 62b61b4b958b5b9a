//! `POST /v1/transfers/{id}/cancel`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::transfers::{Transfer, Transfers};

/// Cancel a transfer
///
/// Only a draft: what is in transit is received, or written off by a receipt that closes.
#[utoipa::path(post, path = "/v1/transfers/{id}/cancel", tag = "transfers",
    security(("key" = ["warehouse_ops:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "The transfer, cancelled", body = Transfer),
    (status = 404, description = "No such transfer", body = ProblemDocument),
    (status = 409, description = "It is not a draft (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn cancel_transfer(
    State(transfers): State<Transfers>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((transfers, id, limits), |tx, (transfers, id, limits), command| {
        Box::pin(async move {
            let draft = transfers.lock_in_tx(tx, *id, &limits.warehouses, |transfer| &transfer.from).await?;
            command.was(&draft);
            Ok(Reply::resource(&transfers.cancel_in_tx(tx, &draft).await?))
        })
    });
    run.await
}
