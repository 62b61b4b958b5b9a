//! `GET /v1/feeds/{source}`

use axum::extract::State;

use crate::feeds::{Feeds, Source};
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a source
#[utoipa::path(get, path = "/v1/feeds/{source}", tag = "feeds",
    security(("key" = ["stock:read"])),
    params(("source" = String, Path, example = "scales")), responses(
    (status = 200, description = "The source", body = Source),
    (status = 404, description = "No such source", body = ProblemDocument),
))]
pub(super) async fn get_feed(State(feeds): State<Feeds>, Path(source): Path<String>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&feeds.get(&source).await?))
}
