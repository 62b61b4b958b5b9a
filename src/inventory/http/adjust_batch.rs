//! `POST /v1/stock/adjustments/batch`

use axum::extract::State;

use crate::access::Limits;
use crate::inventory::Inventory;
use crate::inventory::model::views::NewAdjustment;
use crate::platform::batch::{Batch, BatchAnswer};
use crate::platform::command::Command;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

type AdjustmentBatch = Batch<NewAdjustment>;

/// Change stock many times
///
/// Up to 1,000 adjustments, each on its own, in order: one that is refused does not fail its neighbours. Each
/// `level` is as it stands after all of them.
#[utoipa::path(post, path = "/v1/stock/adjustments/batch", tag = "stock",
    security(("key" = ["stock:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    request_body = AdjustmentBatch,
    responses((status = 200, description = "What became of each, in order", body = BatchAnswer)))]
pub(super) async fn adjust_stock_batch(
    State(inventory): State<Inventory>,
    limits: Limits,
    mut command: Command<AdjustmentBatch>,
) -> Result<Reply, Problem> {
    command.body.refuse(|adjustment| limits.warehouses.check(&adjustment.warehouse.0));
    let run = command.run(inventory, |tx, inventory, command| {
        Box::pin(async move {
            let outcomes = inventory.adjust_in_tx(tx, command.body.valid(), command.caller.id).await?;
            Ok(command.body.answer(outcomes)?.reply())
        })
    });
    run.await
}
