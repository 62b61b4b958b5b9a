//! `POST /v1/stock/adjustments`

use axum::extract::State;

use super::level_address;
use crate::access::Limits;
use crate::inventory::Inventory;
use crate::inventory::model::views::{Booked, NewAdjustment};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Change stock
///
/// By a `change`, or to `set_to` if it is still `expected_on_hand`: never blindly. Good stock can only be
/// taken as far as nothing is promised from it. Orders that wait are served at once.
#[utoipa::path(post, path = "/v1/stock/adjustments", tag = "stock",
    security(("key" = ["stock:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    request_body = NewAdjustment, responses(
    (status = 201, description = "Booked", body = Booked),
    (status = 409, description = "Another quantity is there than expected (`stale-quantity`), or too little is free (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn adjust_stock(
    State(inventory): State<Inventory>,
    limits: Limits,
    command: Command<Json<NewAdjustment>>,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&command.body.0.warehouse.0)?;
    let run = command.run(inventory, |tx, inventory, command| {
        Box::pin(async move {
            let adjustment = std::slice::from_ref(&command.body.0);
            let mut outcomes = inventory.adjust_in_tx(tx, adjustment, command.caller.id).await?;
            let booked = outcomes.pop().expect("one was asked for")?;
            command.was(&booked.before);
            command.about(level_address(&command.body.0.sku.0, &command.body.0.warehouse.0));
            Ok(Reply::booked(&booked))
        })
    });
    run.await
}
