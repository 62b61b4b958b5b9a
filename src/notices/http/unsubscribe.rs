//! `DELETE /v1/subscriptions/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::notices::Notices;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Unsubscribe
///
/// With all that is known of the address.
#[utoipa::path(delete, path = "/v1/subscriptions/{id}", tag = "notices", security(("key" = ["catalog:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 204, description = "Unsubscribed"),
    (status = 404, description = "No such subscription", body = ProblemDocument),
))]
pub(super) async fn unsubscribe(
    State(notices): State<Notices>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((notices, id), |tx, (notices, id), command| {
        Box::pin(async move {
            let subscription = notices.lock_in_tx(tx, *id).await?;
            command.on(&subscription)?;
            command.was(&subscription.without_address());
            notices.unsubscribe_in_tx(tx, *id).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
