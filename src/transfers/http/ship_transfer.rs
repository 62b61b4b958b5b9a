//! `POST /v1/transfers/{id}/ship`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::transfers::{Transfer, Transfers};

/// Ship a transfer
///
/// Takes all of it from the good stock of `from` that is not promised to anybody, or nothing. It is in
/// transit then, and counts as `incoming` at `to`.
#[utoipa::path(post, path = "/v1/transfers/{id}/ship", tag = "transfers",
    security(("key" = ["warehouse_ops:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "The transfer, in transit", body = Transfer),
    (status = 404, description = "No such transfer", body = ProblemDocument),
    (status = 409, description = "It is not a draft (`invalid-state`), or too little is free (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn ship_transfer(
    State(transfers): State<Transfers>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((transfers, id, limits), |tx, (transfers, id, limits), command| {
        Box::pin(async move {
            let draft = transfers.lock_in_tx(tx, *id, &limits.warehouses, |transfer| &transfer.from).await?;
            command.was(&draft);
            Ok(Reply::resource(&transfers.ship_in_tx(tx, &draft, command.caller.id).await?))
        })
    });
    run.await
}
