//! `POST /v1/warehouses`

use axum::extract::State;

use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::{NewWarehouse, Warehouse, Warehouses};

/// Create a warehouse
#[utoipa::path(post, path = "/v1/warehouses", tag = "warehouses",
    security(("key" = ["admin:write"])),
    request_body = NewWarehouse, responses(
    (status = 201, description = "Created", body = Warehouse),
    (status = 409, description = "The code is taken (`already-exists`)", body = ProblemDocument),
))]
pub(super) async fn create_warehouse(
    State(warehouses): State<Warehouses>,
    command: Command<Json<NewWarehouse>>,
) -> Result<Reply, Problem> {
    let run = command.run(warehouses, |tx, warehouses, command| {
        Box::pin(async move {
            let warehouse = warehouses.create_in_tx(tx, &command.body.0).await?;
            Ok(Reply::created(format!("/v1/warehouses/{}", warehouse.fields.code.0), &warehouse))
        })
    });
    run.await
}
