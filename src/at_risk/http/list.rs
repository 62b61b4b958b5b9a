//! `GET /v1/orders/at-risk`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::at_risk::AtRisk;
use crate::at_risk::model::OrderAtRisk;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

const HOUR: i64 = 3600;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListOrdersAtRisk {
    /// What is due within so many hours is at risk
    #[param(minimum = 0, maximum = 8760, default = 24)]
    within_hours: Option<i64>,
    /// A line that was promised for no day is due so many hours after its order was placed
    #[param(minimum = 0, maximum = 8760, default = 72)]
    ship_within_hours: Option<i64>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List orders at risk
///
/// Those that will miss what was promised unless somebody acts, the oldest first: goods that wait for stock or have not left, a
/// promise of money that runs out, a process that is stuck. Each comes with what can be done about it, the best first, as a call
/// that can be made as it stands.
#[utoipa::path(get, path = "/v1/orders/at-risk", tag = "orders", security(("key" = ["orders:read"])),
    params(ListOrdersAtRisk),
    responses((status = 200, description = "A page of orders", body = Page<OrderAtRisk>)))]
pub(super) async fn list_orders_at_risk(
    State(at_risk): State<AtRisk>,
    Query(query): Query<ListOrdersAtRisk>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let (within, ship_within) = (query.within_hours.unwrap_or(24), query.ship_within_hours.unwrap_or(72));
    Ok(Reply::ok(&at_risk.list(within * HOUR, ship_within * HOUR, page).await?))
}
