//! `DELETE /v1/channels/{code}`

use axum::extract::State;

use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::Warehouses;

/// Delete a channel
///
/// Reservations and orders made through it stay as they are.
#[utoipa::path(delete, path = "/v1/channels/{code}", tag = "channels",
    security(("key" = ["admin:write"])),
    params(("code" = String, Path, example = "web")), responses(
    (status = 204, description = "Deleted"),
    (status = 404, description = "No such channel", body = ProblemDocument),
))]
pub(super) async fn delete_channel(
    State(warehouses): State<Warehouses>,
    Path(code): Path<String>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((warehouses, code), |tx, (warehouses, code), command| {
        Box::pin(async move {
            let current = warehouses.lock_channel_in_tx(tx, code).await?;
            command.on(&current)?;
            warehouses.delete_channel_in_tx(tx, code).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
