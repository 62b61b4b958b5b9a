//! `GET /v1/feeds`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::feeds::{Feeds, Source};
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListFeeds {
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List sources
///
/// In the order of their codes.
#[utoipa::path(get, path = "/v1/feeds", tag = "feeds",
    security(("key" = ["stock:read"])),
    params(ListFeeds),
    responses((status = 200, description = "A page of sources", body = Page<Source>)))]
pub(super) async fn list_feeds(State(feeds): State<Feeds>, Query(query): Query<ListFeeds>) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&feeds.list(page).await?))
}
