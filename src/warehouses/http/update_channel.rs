//! `PATCH /v1/channels/{code}`

use axum::extract::State;

use super::ChannelPatch;
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::{Channel, Warehouses};

/// Change a channel
///
/// A JSON merge patch (RFC 7396). The code itself cannot be changed.
#[utoipa::path(patch, path = "/v1/channels/{code}", tag = "channels",
    security(("key" = ["admin:write"])),
    params(("code" = String, Path, example = "web")),
    request_body(content = ChannelPatch, content_type = "application/merge-patch+json", example = json!({"name": "Web shop UK"})), responses(
    (status = 200, description = "The channel as it is now", body = Channel),
    (status = 404, description = "No such channel", body = ProblemDocument),
))]
pub(super) async fn update_channel(
    State(warehouses): State<Warehouses>,
    Path(code): Path<String>,
    command: Command<ChannelPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((warehouses, code), |tx, (warehouses, code), command| {
        Box::pin(async move {
            let current = warehouses.lock_channel_in_tx(tx, code).await?;
            command.on(&current)?;
            let fields = command.body.apply(&command.schemas, &current.fields)?;
            Ok(Reply::resource(&warehouses.update_channel_in_tx(tx, code, &fields).await?))
        })
    });
    run.await
}
