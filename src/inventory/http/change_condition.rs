//! `POST /v1/stock/condition-changes`

use axum::extract::State;

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
#[utoipa::path(post, path = "/v1/stock/condition-changes", tag = "stock", request_body = NewConditionChange, responses(
    (status = 201, description = "Booked", body = Booked),
    (status = 409, description = "Too little is free in that condition (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn change_condition(
    State(inventory): State<Inventory>,
    command: Command<Json<NewConditionChange>>,
) -> Result<Reply, Problem> {
    let run = command.run(inventory, |tx, inventory, command| {
        Box::pin(async move {
            Ok(Reply::booked(&inventory.change_condition_in_tx(tx, &command.body.0, command.caller.id).await?))
        })
    });
    run.await
}
