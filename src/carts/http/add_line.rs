//! `POST /v1/carts/{id}/lines`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carts::Carts;
use crate::carts::model::{Cart, NewCartLine};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Put something into a cart
///
/// Units of a product that is in it already are added to its line. All of the cart is held for `ttl_seconds` from now. When
/// stock is short, the cart stays as it was, and `shortages` tells what could be had.
#[utoipa::path(post, path = "/v1/carts/{id}/lines", tag = "carts",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), request_body = NewCartLine, responses(
    (status = 200, description = "The cart as it is now", body = Cart),
    (status = 404, description = "No such cart", body = ProblemDocument),
    (status = 409, description = "Not enough stock (`insufficient-stock`), or the cart has ended (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn add_cart_line(
    State(carts): State<Carts>,
    Path(id): Path<Uuid>,
    limits: Limits,
    mut command: Command<Json<NewCartLine>>,
) -> Result<Reply, Problem> {
    command.body.0.keep_within(&limits)?;
    let run = command.run((carts, id, limits), |tx, (carts, id, limits), command| {
        Box::pin(async move {
            let cart = carts.lock_in_tx(tx, *id, limits).await?;
            command.was(&cart);
            Ok(Reply::resource(&carts.add_in_tx(tx, cart, &command.body.0).await?))
        })
    });
    run.await
}
