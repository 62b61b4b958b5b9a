//! `GET /v1/feeds/{source}/discrepancies`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Limits;
use crate::feeds::model::discrepancy::Filter;
use crate::feeds::{Discrepancy, Feeds};
use crate::platform::clock::Timestamp;
use crate::platform::extract::{Path, Query};
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListDiscrepancies {
    #[param(max_length = 64, example = "TEA-1")]
    sku: Option<String>,
    #[param(max_length = 32, example = "LONDON")]
    warehouse: Option<String>,
    /// Received at this time or later
    #[param(format = DateTime, example = "2026-11-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// Received before this time
    #[param(format = DateTime, example = "2026-12-01T00:00:00Z")]
    to: Option<Timestamp>,
    /// Only those of which something is open (`true`), or nothing (`false`)
    open: Option<bool>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List discrepancies
///
/// Where a source's reports and the books disagreed: what was booked, and what is `open` because it could not be, until
/// a newer count settles it. A count that leaves the same open as the source's last one is not listed again. The newest first.
#[utoipa::path(get, path = "/v1/feeds/{source}/discrepancies", tag = "feeds",
    security(("key" = ["stock:read"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("source" = String, Path, example = "scales"), ListDiscrepancies), responses(
    (status = 200, description = "A page of discrepancies", body = Page<Discrepancy>),
    (status = 404, description = "No such source", body = ProblemDocument),
))]
pub(super) async fn list_discrepancies(
    State(feeds): State<Feeds>,
    Path(source): Path<String>,
    limits: Limits,
    Query(query): Query<ListDiscrepancies>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let ListDiscrepancies { sku, warehouse, from, to, open, .. } = query;
    let filter = Filter { source, sku, warehouses: limits.warehouses.among(warehouse)?, from, to, open };
    Ok(Reply::ok(&feeds.discrepancies(&filter, page).await?))
}
