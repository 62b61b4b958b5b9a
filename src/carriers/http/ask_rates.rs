//! `POST /v1/orders/{id}/labels/rates`

use axum::extract::State;

use crate::access::Limits;
use crate::carriers::Carriers;
use crate::carriers::model::label::{NewRates, ShippingRates};
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Ask what carriers would bring a parcel for
///
/// EasyPost is asked; where it is not set up, there are none. Nothing is bought. Of what one call gives, one rate can be bought.
#[utoipa::path(post, path = "/v1/orders/{id}/labels/rates", tag = "labels",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001")), request_body = NewRates, responses(
    (status = 200, description = "Rates, the cheapest first", body = ShippingRates),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "The order is not to be sent, or has no address (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn ask_rates(
    State(carriers): State<Carriers>,
    Path(id): Path<String>,
    limits: Limits,
    Json(new): Json<NewRates>,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&new.warehouse.0)?;
    Ok(Reply::ok(&carriers.rates(&id, &new, &limits).await?))
}
