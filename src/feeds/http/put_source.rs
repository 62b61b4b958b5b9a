//! `PUT /v1/feeds/{source}`

use axum::extract::State;

use crate::feeds::{Feeds, NewSource, Source};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Make a source, or change it
///
/// Whoever may write stock can report for it then.
#[utoipa::path(put, path = "/v1/feeds/{source}", tag = "feeds", security(("key" = ["admin:write"])),
    params(("source" = String, Path, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$", example = "scales")),
    request_body = NewSource, responses(
    (status = 200, description = "The source as it is now", body = Source),
    (status = 422, description = "No source can have this code, or there is no such warehouse (`validation`)", body = ProblemDocument),
))]
pub(super) async fn put_feed(
    State(feeds): State<Feeds>,
    Path(source): Path<String>,
    command: Command<Json<NewSource>>,
) -> Result<Reply, Problem> {
    let run = command.run((feeds, source), |tx, (feeds, source), command| {
        Box::pin(async move {
            command.on(&feeds.lock_in_tx(tx, source).await?)?;
            Ok(Reply::resource(&feeds.put_in_tx(tx, source, &command.body.0).await?))
        })
    });
    run.await
}
