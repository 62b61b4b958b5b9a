//! `PUT /v1/sourcing`

use axum::extract::State;

use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::warehouses::{Sourcing, Warehouses};

/// Replace the default sourcing rules
///
/// A rule decides only where those before it leave a tie. Reservations and orders use the same chain.
#[utoipa::path(put, path = "/v1/sourcing", tag = "channels",
    security(("key" = ["admin:write"])),
    request_body = Sourcing,
    responses((status = 200, description = "The rules as they are now", body = Sourcing)))]
pub(super) async fn put_sourcing(
    State(warehouses): State<Warehouses>,
    command: Command<Json<Sourcing>>,
) -> Result<Reply, Problem> {
    let run = command.run(warehouses, |tx, warehouses, command| {
        Box::pin(async move {
            command.on(&warehouses.lock_rules_in_tx(tx).await?)?;
            warehouses.set_rules_in_tx(tx, &command.body.0).await?;
            Ok(Reply::resource(&command.body.0))
        })
    });
    run.await
}
