//! `GET /v1/reservations`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Limits;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::reservations::model::{Filter, Status};
use crate::reservations::{Reservation, Reservations};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListReservations {
    #[param(max_length = 128, example = "cart-4711")]
    owner: Option<String>,
    #[param(inline)]
    status: Option<Status>,
    /// With a line of this product
    #[param(max_length = 64, example = "TEA-1")]
    sku: Option<String>,
    #[param(max_length = 32, example = "web")]
    channel: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List reservations
///
/// The newest first.
#[utoipa::path(get, path = "/v1/reservations", tag = "reservations",
    security(("key" = ["reservations:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(ListReservations),
    responses((status = 200, description = "A page of reservations", body = Page<Reservation>)))]
pub(super) async fn list_reservations(
    State(reservations): State<Reservations>,
    limits: Limits,
    Query(query): Query<ListReservations>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let channels = limits.channels.among(query.channel)?;
    let filter = Filter { owner: query.owner, status: query.status, sku: query.sku, channels };
    Ok(Reply::ok(&reservations.list(&filter, page).await?))
}
