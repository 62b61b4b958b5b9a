//! `DELETE /v1/carts/{id}/lines/{line_id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carts::Carts;
use crate::carts::model::Cart;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Take a line out of a cart
///
/// Its stock is free at once; the rest is held for `ttl_seconds` from now.
#[utoipa::path(delete, path = "/v1/carts/{id}/lines/{line_id}", tag = "carts",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path), ("line_id" = Uuid, Path)), responses(
    (status = 200, description = "The cart as it is now", body = Cart),
    (status = 404, description = "No such cart, or no such line in it", body = ProblemDocument),
    (status = 409, description = "The cart has ended (`invalid-state`), or was abandoned and there is not enough stock any more (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn remove_cart_line(
    State(carts): State<Carts>,
    Path(path): Path<(Uuid, Uuid)>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((carts, path, limits), |tx, (carts, (id, line), limits), command| {
        Box::pin(async move {
            let cart = carts.lock_in_tx(tx, *id, limits).await?;
            command.was(&cart);
            Ok(Reply::resource(&carts.remove_line_in_tx(tx, cart, *line).await?))
        })
    });
    run.await
}
