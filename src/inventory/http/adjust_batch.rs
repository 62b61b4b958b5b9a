//! `POST /v1/stock/adjustments/batch`

use axum::extract::State;

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
#[utoipa::path(post, path = "/v1/stock/adjustments/batch", tag = "stock", request_body = AdjustmentBatch,
    responses((status = 200, description = "What became of each, in order", body = BatchAnswer)))]
pub(super) async fn adjust_stock_batch(
    State(inventory): State<Inventory>,
    command: Command<AdjustmentBatch>,
) -> Result<Reply, Problem> {
    let run = command.run(inventory, |tx, inventory, command| {
        Box::pin(async move {
            let outcomes = inventory.adjust_in_tx(tx, command.body.valid(), command.caller.id).await?;
            Ok(Reply::ok(&command.body.answer(outcomes)?))
        })
    });
    run.await
}
