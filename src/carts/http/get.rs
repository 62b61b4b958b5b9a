//! `GET /v1/carts/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carts::Carts;
use crate::carts::model::Cart;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a cart
///
/// Reading does not make it live longer.
#[utoipa::path(get, path = "/v1/carts/{id}", tag = "carts",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The cart", body = Cart),
    (status = 404, description = "No such cart", body = ProblemDocument),
))]
pub(super) async fn get_cart(
    State(carts): State<Carts>,
    Path(id): Path<Uuid>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&carts.get(id, &limits).await?))
}
