//! `POST /v1/customers/{id}/erase`

use axum::extract::State;
use uuid::Uuid;

use super::Desk;
use crate::customers::model::KnownCustomer;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Erase a customer
///
/// For good, in one step: the customer keeps its id, its orders their goods, prices and country, and subscriptions under
/// its email end. Erasing twice is fine. docs/customers.md says what is left for a time, and where.
#[utoipa::path(post, path = "/v1/customers/{id}/erase", tag = "customers", security(("key" = ["orders:write"])),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "What is left of the customer", body = KnownCustomer),
    (status = 404, description = "No such customer", body = ProblemDocument),
    (status = 409, description = "An order is open, as the detail says: complete or cancel it first (`in-use`)", body = ProblemDocument),
))]
pub(super) async fn erase_customer(
    State(desk): State<Desk>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((desk, id), |tx, (desk, id), command| {
        Box::pin(async move {
            let current = desk.customers.lock_in_tx(tx, *id).await?;
            command.on_told_as(&current, &current.trace())?;
            if current.erased_at.is_some() {
                return Ok(Reply::resource(&current).of_no_change());
            }
            let erased = desk.customers.erase_in_tx(tx, current, &desk.holders, Some(&command.caller)).await?;
            Ok(Reply::resource(&erased).remembered_as(&erased.trace()))
        })
    });
    run.await
}
