//! `GET /v1/customers/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::customers::Customers;
use crate::customers::model::KnownCustomer;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a customer
#[utoipa::path(get, path = "/v1/customers/{id}", tag = "customers", security(("key" = ["orders:read"])),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The customer", body = KnownCustomer),
    (status = 404, description = "No such customer", body = ProblemDocument),
))]
pub(super) async fn get_customer(State(customers): State<Customers>, Path(id): Path<Uuid>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&customers.get(id).await?))
}
