//! `POST /v1/carts/{id}/merge`

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Limits;
use crate::carts::model::Cart;
use crate::carts::{Carts, Error};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Fault, Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Which cart goes into this one
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"}))]
pub(super) struct Merging {
    /// A cart of the same channel, such as the one that the shopper had before logging in
    from: Uuid,
}

/// Merge another cart into this one
///
/// In one step: this one then holds the units of both, at its own prices where both have a product, and the other has
/// ended. When stock is short for both together, both stay as they were.
#[utoipa::path(post, path = "/v1/carts/{id}/merge", tag = "carts",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), request_body = Merging, responses(
    (status = 200, description = "The cart as it is now", body = Cart),
    (status = 404, description = "No such cart", body = ProblemDocument),
    (status = 409, description = "Not enough stock (`insufficient-stock`), or one of them has ended (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn merge_carts(
    State(carts): State<Carts>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<Merging>>,
) -> Result<Reply, Problem> {
    let run = command.run((carts, id, limits), |tx, (carts, id, limits), command| {
        Box::pin(async move {
            let from = command.body.0.from;
            if from == *id {
                return Err(Problem::fault("/from", "same", "a cart cannot go into itself"));
            }
            // In one order, so that two that merge each other's do not wait for each other.
            let mut found = Vec::new();
            for each in [*id.min(&from), *id.max(&from)] {
                found.push(carts.lock_in_tx(tx, each, limits).await);
            }
            if from < *id {
                found.reverse();
            }
            let (guest, cart) = (found.pop().expect("two were locked"), found.pop().expect("two were locked")?);
            let guest = guest.map_err(|error| match error {
                Error::NotFound(_) => Error::Invalid(vec![Fault::new("/from", "unknown", error.to_string())]),
                other => other,
            })?;
            if guest.channel != cart.channel {
                return Err(Problem::fault("/from", "differs", "that cart is of another channel"));
            }
            command.was(&cart);
            Ok(Reply::resource(&carts.merge_in_tx(tx, cart, guest).await?))
        })
    });
    run.await
}
