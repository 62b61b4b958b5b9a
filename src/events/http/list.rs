//! `GET /v1/events`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::events::{Events, Feed};
use crate::platform::extract::Query;
use crate::platform::page;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListEvents {
    /// Go on after this cursor; from the beginning when left out
    #[param(max_length = 200)]
    after: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// Only these event types, separated by commas
    #[param(max_length = 1000, example = "stock.level_changed,order.placed")]
    r#type: Option<String>,
}

/// Read the event feed
///
/// Every change of products, stock, reservations, orders and transfers, without gaps, in the order
/// in which changes to one subject were committed. Keep `next_cursor` and pass it as `after` to go on;
/// an empty page means that nothing has happened since.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(ListEvents),
    responses((status = 200, description = "The next events", body = Feed)))]
pub(super) async fn list_events(
    State(events): State<Events>,
    Query(query): Query<ListEvents>,
) -> Result<Reply, Problem> {
    let after = query.after.as_deref().map(page::decode::<i64>).transpose()?.unwrap_or(0);
    let types: Option<Vec<String>> = query.r#type.map(|types| types.split(',').map(|t| t.trim().to_owned()).collect());
    let (items, position) = events.read(after, query.limit.unwrap_or(page::DEFAULT_LIMIT), types.as_deref()).await?;
    Ok(Reply::ok(&Feed { items, next_cursor: page::encode(&position) }))
}
