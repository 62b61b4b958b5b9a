//! `GET /v1/payments`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::access::Limits;
use crate::payments::Payments;
use crate::payments::model::{Filter, Payment, PaymentState, ProviderName};
use crate::platform::clock::Timestamp;
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListPayments {
    order_id: Option<Uuid>,
    #[param(inline)]
    status: Option<PaymentState>,
    #[param(inline)]
    provider: Option<ProviderName>,
    #[param(max_length = 32, example = "web")]
    channel: Option<String>,
    /// Those whose authorisation runs out before then
    expiring_before: Option<Timestamp>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List payments
///
/// The newest first.
#[utoipa::path(get, path = "/v1/payments", tag = "payments",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(ListPayments),
    responses((status = 200, description = "A page of payments", body = Page<Payment>)))]
pub(super) async fn list_payments(
    State(payments): State<Payments>,
    limits: Limits,
    Query(query): Query<ListPayments>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let ListPayments { order_id, status, provider, channel, expiring_before, .. } = query;
    let channels = limits.channels.among(channel)?;
    let filter = Filter { order_id, status, provider, expiring_before, channels };
    Ok(Reply::ok(&payments.list(&filter, page).await?))
}
