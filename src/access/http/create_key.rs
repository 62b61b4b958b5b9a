//! `POST /v1/keys`

use axum::extract::State;

use crate::access::{Access, IssuedKey, NewKey};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

/// Make a key
///
/// The answer has the key itself, this once. Give each program a key of its own, with no more than it needs: scopes,
/// and where it makes sense the warehouses or channels it is kept to.
#[utoipa::path(post, path = "/v1/keys", tag = "access", security(("key" = ["admin:write"])),
    request_body = NewKey, responses((status = 201, description = "Made", body = IssuedKey)))]
pub(super) async fn create_key(State(access): State<Access>, command: Command<Json<NewKey>>) -> Result<Reply, Problem> {
    let run = command.run(access, |tx, access, command| {
        Box::pin(async move {
            let issued = access.create_in_tx(tx, &command.body.0, &command.caller.name).await?;
            Ok(issued.reply())
        })
    });
    run.await
}
