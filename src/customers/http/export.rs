//! `GET /v1/customers/{id}/export`

use axum::extract::State;
use uuid::Uuid;

use super::Desk;
use crate::customers::model::CustomerExport;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Export all that is held of a customer
///
/// The customer, the consents, the orders made for it, and the subscriptions to products under its email, as of one moment.
#[utoipa::path(get, path = "/v1/customers/{id}/export", tag = "customers", security(("key" = ["orders:read"])),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "All of it", body = CustomerExport),
    (status = 404, description = "No such customer", body = ProblemDocument),
))]
pub(super) async fn export_customer(State(desk): State<Desk>, Path(id): Path<Uuid>) -> Result<Reply, Problem> {
    Ok(Reply::ok(&desk.customers.export(id, &desk.holders).await?))
}
