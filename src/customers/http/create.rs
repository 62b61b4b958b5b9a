//! `POST /v1/customers`

use axum::extract::State;

use crate::customers::Customers;
use crate::customers::model::{CustomerFields, KnownCustomer};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Add a customer
///
/// Orders then name it by `customer_id`. Whoever repeats the call with its `Idempotency-Key` gets the answer without
/// what is personal.
#[utoipa::path(post, path = "/v1/customers", tag = "customers", security(("key" = ["orders:write"])),
    request_body = CustomerFields, responses(
    (status = 201, description = "Added", body = KnownCustomer),
    (status = 409, description = "Another has this reference (`already-exists`)", body = ProblemDocument),
))]
pub(super) async fn create_customer(
    State(customers): State<Customers>,
    command: Command<Json<CustomerFields>>,
) -> Result<Reply, Problem> {
    let run = command.run(customers, |tx, customers, command| {
        Box::pin(async move {
            let customer = customers.create_in_tx(tx, &command.body.0, &command.caller).await?;
            let location = format!("/v1/customers/{}", customer.id);
            Ok(Reply::created(location, &customer).remembered_as(&customer.trace()))
        })
    });
    run.await
}
