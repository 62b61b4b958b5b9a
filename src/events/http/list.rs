//! `GET /v1/events`

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Filtered;
use crate::events::{Events, FilterQuery, PublishedEvent};
use crate::platform::extract::Query;
use crate::platform::page;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Where {
    /// Go on after this cursor; from the beginning of what is kept when left out
    #[param(max_length = 200)]
    after: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// A stretch of the feed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Feed {
    items: Vec<PublishedEvent>,
    /// Pass as `after` to go on from here; it is never null, for the feed never ends
    next_cursor: String,
    /// Whether there is more to read at once: of a filter that lets little pass, a page may be empty although the feed
    /// goes on
    has_more: bool,
}

/// Read the event feed
///
/// Every change of products, stock, reservations, orders and transfers, without gaps, in the order
/// in which changes to one subject were committed. Keep `next_cursor` and pass it as `after` to go on.
/// Events are kept for 30 days, or as the server is set up (`events_days`). A cursor after which events are missing, for
/// they were too old or a backup was restored, is refused with 410 `stale-cursor`: begin again with
/// `GET /v1/stock/snapshot`, which gives the stock and the cursor to go on from.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    security(("key" = ["events:read"])),
    params(Where, FilterQuery),
    responses(
        (status = 200, description = "The next events", body = Feed),
        (status = 410, description = "Events after this cursor are missing (`stale-cursor`)"),
    ))]
pub(super) async fn list_events(
    State(events): State<Events>,
    Query(Filtered { own: query, filter }): Query<Filtered<Where>>,
) -> Result<Reply, Problem> {
    let position = events.resume(query.after.as_deref()).await?;
    let limit = query.limit.unwrap_or(page::DEFAULT_LIMIT.unsigned_abs().try_into().unwrap_or(usize::MAX));
    let stretch = events.read(position, limit, &filter.into()).await?;
    let next_cursor = events.cursor_at(stretch.position).await?.encode();
    Ok(Reply::ok(&Feed { items: stretch.events, next_cursor, has_more: !stretch.is_all }))
}
