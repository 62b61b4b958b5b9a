//! `GET /v1/orders/{id}/shipments/{shipment_id}/packing-slip`

use axum::extract::State;
use uuid::Uuid;

use super::{PdfDocument, pdf};
use crate::access::Limits;
use crate::carriers::Carriers;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Print the packing slip of a shipment
#[utoipa::path(get, path = "/v1/orders/{id}/shipments/{shipment_id}/packing-slip", tag = "labels",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001"), ("shipment_id" = Uuid, Path)), responses(
    (status = 200, description = "The packing slip", body = PdfDocument, content_type = "application/pdf"),
    (status = 404, description = "No such order or shipment", body = ProblemDocument),
))]
pub(super) async fn slip_of_shipment(
    State(carriers): State<Carriers>,
    Path((id, shipment_id)): Path<(String, Uuid)>,
    limits: Limits,
) -> Result<Reply, Problem> {
    let (order, bytes) = carriers.slip_of_shipment(&id, shipment_id, &limits).await?;
    Ok(pdf(&format!("packing-slip-{}-{shipment_id}", order.head.number), bytes))
}
