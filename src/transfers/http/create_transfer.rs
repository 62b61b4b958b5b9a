//! `POST /v1/transfers`

use axum::extract::State;

use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::transfers::{NewTransfer, Transfer, Transfers};

/// Create a transfer
///
/// A draft: it holds no stock until it is shipped. Both warehouses must be active, and every product known.
#[utoipa::path(post, path = "/v1/transfers", tag = "transfers",
    security(("key" = ["warehouse_ops:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    request_body = NewTransfer,
    responses((status = 201, description = "Created, as a draft", body = Transfer)))]
pub(super) async fn create_transfer(
    State(transfers): State<Transfers>,
    limits: Limits,
    command: Command<Json<NewTransfer>>,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&command.body.0.from.0)?;
    let run = command.run(transfers, |tx, transfers, command| {
        Box::pin(async move {
            let transfer = transfers.create_in_tx(tx, &command.body.0).await?;
            Ok(Reply::created(format!("/v1/transfers/{}", transfer.id), &transfer))
        })
    });
    run.await
}
