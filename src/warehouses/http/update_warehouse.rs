//! `PATCH /v1/warehouses/{code}`

use axum::extract::State;

use super::WarehousePatch;
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::{Warehouse, Warehouses};

/// Change a warehouse
///
/// A JSON merge patch (RFC 7396). The code itself cannot be changed.
#[utoipa::path(patch, path = "/v1/warehouses/{code}", tag = "warehouses",
    security(("key" = ["admin:write"])),
    params(("code" = String, Path, example = "LONDON")),
    request_body(content = WarehousePatch, content_type = "application/merge-patch+json", example = json!({"name": "London docks 2"})), responses(
    (status = 200, description = "The warehouse as it is now", body = Warehouse),
    (status = 404, description = "No such warehouse", body = ProblemDocument),
))]
pub(super) async fn update_warehouse(
    State(warehouses): State<Warehouses>,
    Path(code): Path<String>,
    command: Command<WarehousePatch>,
) -> Result<Reply, Problem> {
    let run = command.run((warehouses, code), |tx, (warehouses, code), command| {
        Box::pin(async move {
            let current = warehouses.lock_in_tx(tx, code).await?;
            command.on(&current)?;
            let fields = command.body.apply(&command.schemas, &current.fields)?;
            Ok(Reply::resource(&warehouses.update_in_tx(tx, code, &fields).await?))
        })
    });
    run.await
}
