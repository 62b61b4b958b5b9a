//! `POST /v1/carts`

use axum::extract::State;

use crate::access::Limits;
use crate::carts::Carts;
use crate::carts::model::{Cart, NewCart};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Begin a cart
///
/// What is in it is held for `ttl_seconds` from each change on, so that whoever checks out in time gets it. It may be
/// empty at first.
#[utoipa::path(post, path = "/v1/carts", tag = "carts",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    request_body = NewCart, responses(
    (status = 201, description = "Begun", body = Cart),
    (status = 409, description = "Not enough stock (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn create_cart(
    State(carts): State<Carts>,
    limits: Limits,
    mut command: Command<Json<NewCart>>,
) -> Result<Reply, Problem> {
    command.body.0.keep_within(&limits)?;
    let run = command.run(carts, |tx, carts, command| {
        Box::pin(async move {
            let cart = carts.create_in_tx(tx, &command.body.0).await?;
            Ok(Reply::created(format!("/v1/carts/{}", cart.id), &cart))
        })
    });
    run.await
}
