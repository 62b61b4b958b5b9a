//! `GET /v1/labels/{id}/pdf`

use axum::extract::State;
use uuid::Uuid;

use super::{PdfDocument, pdf};
use crate::access::Limits;
use crate::carriers::Carriers;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Print a label
///
/// 4 × 6 inches: as the carrier has drawn it, or else who sends what to whom, with a Code 128 barcode of the tracking number, or
/// of the order's where there is none. One of the shop's own is drawn of the order as it is now.
#[utoipa::path(get, path = "/v1/labels/{id}/pdf", tag = "labels",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The label", body = PdfDocument, content_type = "application/pdf"),
    (status = 404, description = "No such label", body = ProblemDocument),
    (status = 409, description = "It is not `bought` (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn print_label(
    State(carriers): State<Carriers>,
    Path(id): Path<Uuid>,
    limits: Limits,
) -> Result<Reply, Problem> {
    let (label, bytes) = carriers.label_pdf(id, &limits).await?;
    Ok(pdf(&format!("label-{}-{}", label.order_number, label.id), bytes))
}
