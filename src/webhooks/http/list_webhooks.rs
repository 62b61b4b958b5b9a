//! `GET /v1/webhooks`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::webhooks::Webhooks;
use crate::webhooks::model::Webhook;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListWebhooks {
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List webhooks
///
/// The newest first, never their secrets.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", security(("key" = ["events:read"])), params(ListWebhooks),
    responses((status = 200, description = "A page of webhooks", body = Page<Webhook>)))]
pub(super) async fn list_webhooks(
    State(webhooks): State<Webhooks>,
    Query(query): Query<ListWebhooks>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&webhooks.list(page).await?))
}
