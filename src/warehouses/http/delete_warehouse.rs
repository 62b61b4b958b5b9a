//! `DELETE /v1/warehouses/{code}`

use std::sync::Arc;

use axum::extract::State;

use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::{Occupancy, Warehouses};

/// Delete a warehouse
///
/// Only one that holds no stock, expects none, and serves no channel. The ledger keeps naming it.
#[utoipa::path(delete, path = "/v1/warehouses/{code}", tag = "warehouses",
    security(("key" = ["admin:write"])),
    params(("code" = String, Path, example = "LONDON")), responses(
    (status = 204, description = "Deleted"),
    (status = 404, description = "No such warehouse", body = ProblemDocument),
    (status = 409, description = "It holds stock or serves a channel (`in-use`)", body = ProblemDocument),
))]
pub(super) async fn delete_warehouse(
    State(state): State<(Warehouses, Arc<dyn Occupancy>)>,
    Path(code): Path<String>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((state, code), |tx, ((warehouses, occupancy), code), command| {
        Box::pin(async move {
            let current = warehouses.lock_in_tx(tx, code).await?;
            command.on(&current)?;
            warehouses.delete_in_tx(tx, code, occupancy.as_ref()).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
