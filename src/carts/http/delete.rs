//! `DELETE /v1/carts/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carts::Carts;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Give a cart up
///
/// Its stock is free at once; it reads as abandoned from then on. Giving up twice is fine.
#[utoipa::path(delete, path = "/v1/carts/{id}", tag = "carts",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 204, description = "Given up"),
    (status = 404, description = "No such cart", body = ProblemDocument),
    (status = 409, description = "It went into another, or became an order (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn delete_cart(
    State(carts): State<Carts>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((carts, id, limits), |tx, (carts, id, limits), command| {
        Box::pin(async move {
            let cart = carts.lock_in_tx(tx, *id, limits).await?;
            command.on(&cart)?;
            carts.give_up_in_tx(tx, cart).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
