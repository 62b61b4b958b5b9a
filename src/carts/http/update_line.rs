//! `PATCH /v1/carts/{id}/lines/{line_id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carts::Carts;
use crate::carts::model::{Cart, CartLineTerms};
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::patch::Patch;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

pub(super) type CartLineTermsPatch = Patch<CartLineTerms>;

/// Change a line of a cart
///
/// A JSON merge patch (RFC 7396). Holds more, or gives back what is too much, in one step.
#[utoipa::path(patch, path = "/v1/carts/{id}/lines/{line_id}", tag = "carts",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path), ("line_id" = Uuid, Path)),
    request_body(content = CartLineTermsPatch, content_type = "application/merge-patch+json", example = json!({"quantity": 3})), responses(
    (status = 200, description = "The cart as it is now", body = Cart),
    (status = 404, description = "No such cart, or no such line in it", body = ProblemDocument),
    (status = 409, description = "Not enough stock (`insufficient-stock`), or the cart has ended (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn update_cart_line(
    State(carts): State<Carts>,
    Path(path): Path<(Uuid, Uuid)>,
    limits: Limits,
    command: Command<CartLineTermsPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((carts, path, limits), |tx, (carts, (id, line), limits), command| {
        Box::pin(async move {
            let cart = carts.lock_in_tx(tx, *id, limits).await?;
            command.was(&cart);
            let current = cart.lines[cart.position(*line)?].changeable();
            let terms = command.body.apply(&command.schemas, &current)?;
            Ok(Reply::resource(&carts.change_line_in_tx(tx, cart, *line, terms).await?))
        })
    });
    run.await
}
