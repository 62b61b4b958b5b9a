//! `POST /v1/channels`

use axum::extract::State;

use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::{Channel, NewChannel, Warehouses};

/// Create a channel
#[utoipa::path(post, path = "/v1/channels", tag = "channels",
    security(("key" = ["admin:write"])),
    request_body = NewChannel, responses(
    (status = 201, description = "Created", body = Channel),
    (status = 409, description = "The code is taken (`already-exists`)", body = ProblemDocument),
))]
pub(super) async fn create_channel(
    State(warehouses): State<Warehouses>,
    command: Command<Json<NewChannel>>,
) -> Result<Reply, Problem> {
    let run = command.run(warehouses, |tx, warehouses, command| {
        Box::pin(async move {
            let channel = warehouses.create_channel_in_tx(tx, &command.body.0).await?;
            Ok(Reply::created(format!("/v1/channels/{}", channel.fields.code.0), &channel))
        })
    });
    run.await
}
