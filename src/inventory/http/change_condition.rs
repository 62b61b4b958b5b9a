//! `POST /v1/stock/condition-changes`

use axum::extract::State;

use super::level_address;
use crate::access::Limits;
use crate::inventory::Inventory;
use crate::inventory::model::views::{Booked, NewConditionChange};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Change the condition of stock
///
/// Puts stock aside as damaged, in quality control or quarantined, or brings it back. It stays on hand; only
/// good stock can be sold.
#[utoipa::path(post, path = "/v1/stock/condition-changes", tag = "stock",
    security(("key" = ["stock:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    request_body = NewConditionChange, responses(
    (status = 201, description = "Booked", body = Booked),
    (status = 409, description = "Too little is free in that condition (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn change_condition(
    State(inventory): State<Inventory>,
    limits: Limits,
    command: Command<Json<NewConditionChange>>,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&command.body.0.warehouse.0)?;
    let run = command.run(inventory, |tx, inventory, command| {
        Box::pin(async move {
            let booked = inventory.change_condition_in_tx(tx, &command.body.0, command.caller.id).await?;
            command.was(&booked.before);
            command.about(level_address(&command.body.0.sku.0, &command.body.0.warehouse.0));
            Ok(Reply::booked(&booked))
        })
    });
    run.await
}
