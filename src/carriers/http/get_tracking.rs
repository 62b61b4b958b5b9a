//! `GET /v1/orders/{id}/shipments/{shipment_id}/tracking`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carriers::Carriers;
use crate::carriers::model::Tracking;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read where a shipment is
#[utoipa::path(get, path = "/v1/orders/{id}/shipments/{shipment_id}/tracking", tag = "carriers",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001"), ("shipment_id" = Uuid, Path)), responses(
    (status = 200, description = "Where it is, and was", body = Tracking),
    (status = 404, description = "No such order or shipment", body = ProblemDocument),
))]
pub(super) async fn get_tracking(
    State(carriers): State<Carriers>,
    Path((id, shipment_id)): Path<(String, Uuid)>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&carriers.tracking(&id, shipment_id, &limits).await?))
}
