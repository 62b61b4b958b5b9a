//! `GET /v1/products/{sku}/subscriptions`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::notices::Notices;
use crate::notices::model::{Subscription, SubscriptionStatus};
use crate::platform::extract::{Path, Query};
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListSubscriptions {
    #[param(inline)]
    status: Option<SubscriptionStatus>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List who waits for a product
///
/// The oldest first, as they are told; those who were told for 30 days more.
#[utoipa::path(get, path = "/v1/products/{sku}/subscriptions", tag = "notices", security(("key" = ["catalog:read"])),
    params(("sku" = String, Path, example = "TEA-1"), ListSubscriptions), responses(
    (status = 200, description = "A page of subscriptions", body = Page<Subscription>),
    (status = 404, description = "No such product", body = ProblemDocument),
))]
pub(super) async fn list_subscriptions(
    State(notices): State<Notices>,
    Path(sku): Path<String>,
    Query(query): Query<ListSubscriptions>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&notices.list(&sku, query.status, page).await?))
}
