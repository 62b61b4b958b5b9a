//! `PATCH /v1/carts/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carts::Carts;
use crate::carts::model::{Cart, CartTerms};
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::patch::Patch;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

pub(super) type CartTermsPatch = Patch<CartTerms>;

/// Change a cart's terms
///
/// A JSON merge patch (RFC 7396) of its discounts, its shipping and the like; its lines have calls of their own. It then
/// lives `ttl_seconds` from now.
#[utoipa::path(patch, path = "/v1/carts/{id}", tag = "carts",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)),
    request_body(content = CartTermsPatch, content_type = "application/merge-patch+json", example = json!({"discounts": [{"label": "Welcome", "amount": {"amount": 100, "currency": "EUR"}}]})), responses(
    (status = 200, description = "The cart as it is now", body = Cart),
    (status = 404, description = "No such cart", body = ProblemDocument),
    (status = 409, description = "It has ended (`invalid-state`), or was abandoned and there is not enough stock any more (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn update_cart(
    State(carts): State<Carts>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<CartTermsPatch>,
) -> Result<Reply, Problem> {
    let run = command.run((carts, id, limits), |tx, (carts, id, limits), command| {
        Box::pin(async move {
            let cart = carts.lock_in_tx(tx, *id, limits).await?;
            command.on(&cart)?;
            let terms = command.body.apply(&command.schemas, &cart.changeable())?;
            Ok(Reply::resource(&carts.change_in_tx(tx, cart, terms).await?))
        })
    });
    run.await
}
