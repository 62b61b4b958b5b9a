//! `PATCH /v1/stock/{sku}/levels/{warehouse}`

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Limits;
use crate::inventory::{Inventory, LevelView};
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::patch::Patch;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// What is set for a product in one warehouse
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"safety_stock": 2, "reorder_point": 5}))]
pub(super) struct LevelSettings {
    /// Units kept back from sale
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64, default = 0)]
    safety_stock: i64,
    /// At or under this, stock counts as low; 0 never
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64, default = 0)]
    reorder_point: i64,
}

type LevelSettingsPatch = Patch<LevelSettings>;

/// Set safety stock and reorder point
///
/// A JSON merge patch (RFC 7396). What is promised already stays promised.
#[utoipa::path(patch, path = "/v1/stock/{sku}/levels/{warehouse}", tag = "stock",
    security(("key" = ["stock:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("sku" = String, Path, example = "TEA-1"), ("warehouse" = String, Path, example = "LONDON")),
    request_body(content = LevelSettingsPatch, content_type = "application/merge-patch+json", example = json!({"reorder_point": 5})), responses(
    (status = 200, description = "The level as it is now", body = LevelView),
    (status = 404, description = "No such product or warehouse", body = ProblemDocument),
))]
pub(super) async fn update_level(
    State(inventory): State<Inventory>,
    Path(path): Path<(String, String)>,
    limits: Limits,
    command: Command<LevelSettingsPatch>,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&path.1)?;
    let run = command.run((inventory, path), |tx, (inventory, (sku, warehouse)), command| {
        Box::pin(async move {
            let level = inventory.lock_level_in_tx(tx, sku, warehouse).await?;
            command.on(&level)?;
            let current = LevelSettings { safety_stock: level.safety_stock, reorder_point: level.reorder_point };
            let settings = command.body.apply(&command.schemas, &current)?;
            inventory.set_level_in_tx(tx, sku, warehouse, settings.safety_stock, settings.reorder_point).await?;
            Ok(Reply::resource(&inventory.level(tx, sku, warehouse).await?))
        })
    });
    run.await
}
