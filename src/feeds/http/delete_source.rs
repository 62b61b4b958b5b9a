//! `DELETE /v1/feeds/{source}`

use axum::extract::State;

use crate::feeds::{Error, Feeds};
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Delete a source
///
/// Nothing is taken from it any more. What it reported stays as it is, and is known again to a source that is made under
/// the same code.
#[utoipa::path(delete, path = "/v1/feeds/{source}", tag = "feeds", security(("key" = ["admin:write"])),
    params(("source" = String, Path, example = "scales")), responses(
    (status = 204, description = "Deleted"),
    (status = 404, description = "No such source", body = ProblemDocument),
))]
pub(super) async fn delete_feed(
    State(feeds): State<Feeds>,
    Path(source): Path<String>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((feeds, source), |tx, (feeds, source), command| {
        Box::pin(async move {
            let current = feeds.lock_in_tx(tx, source).await?.ok_or_else(|| Error::NoSource(source.clone()))?;
            command.on(&current)?;
            feeds.delete_in_tx(tx, source).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
