//! `GET /v1/payments/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::payments::Payments;
use crate::payments::model::PaymentDetail;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a payment
///
/// With what was done with it. While it waits for the shopper, it has the `client_secret` with which the shopper's browser
/// confirms it: pass that on to nobody else.
#[utoipa::path(get, path = "/v1/payments/{id}", tag = "payments",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The payment", body = PaymentDetail),
    (status = 404, description = "No such payment", body = ProblemDocument),
))]
pub(super) async fn get_payment(
    State(payments): State<Payments>,
    Path(id): Path<Uuid>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&payments.get(id, &limits).await?))
}
