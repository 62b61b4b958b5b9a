//! `PATCH /v1/customers/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::customers::Customers;
use crate::customers::model::{CustomerFields, KnownCustomer};
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::patch::Patch;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

pub(super) type CustomerFieldsPatch = Patch<CustomerFields>;

/// Change a customer
///
/// A JSON merge patch (RFC 7396). Consents that change are written down with their `source`. Orders keep what they were
/// placed with.
#[utoipa::path(patch, path = "/v1/customers/{id}", tag = "customers", security(("key" = ["orders:write"])),
    params(("id" = Uuid, Path)),
    request_body(content = CustomerFieldsPatch, content_type = "application/merge-patch+json", example = json!({"consent": {"marketing": true, "source": "newsletter"}})), responses(
    (status = 200, description = "The customer as it is now", body = KnownCustomer),
    (status = 404, description = "No such customer", body = ProblemDocument),
    (status = 409, description = "Another has this reference (`already-exists`), or the customer was erased (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn update_customer(
    State(customers): State<Customers>,
    Path(id): Path<Uuid>,
    command: Command<CustomerFieldsPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((customers, id), |tx, (customers, id), command| {
        Box::pin(async move {
            let current = customers.lock_in_tx(tx, *id).await?;
            command.on_told_as(&current, &current.trace())?;
            let fields = command.body.apply(&command.schemas, &current.fields)?;
            let customer = customers.change_in_tx(tx, current, fields, &command.caller).await?;
            Ok(Reply::resource(&customer).remembered_as(&customer.trace()))
        })
    });
    run.await
}
