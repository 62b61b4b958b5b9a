//! `GET /v1/orders/{id}/packing-slip`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{PdfDocument, pdf};
use crate::access::Limits;
use crate::carriers::Carriers;
use crate::platform::extract::{Path, Query};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ToPack {
    /// Where it is packed; may be left out where that is one warehouse
    #[param(max_length = 32, example = "LONDON")]
    warehouse: Option<String>,
}

/// Print the packing slip of what is to be packed
///
/// What is allocated to the order in a warehouse and has not left, on A4: where it goes, the order's number with a barcode, each
/// product's sku, name and quantity, and no prices.
#[utoipa::path(get, path = "/v1/orders/{id}/packing-slip", tag = "labels",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "The order's id or number", example = "1001"), ToPack), responses(
    (status = 200, description = "The packing slip", body = PdfDocument, content_type = "application/pdf"),
    (status = 404, description = "No such order", body = ProblemDocument),
    (status = 409, description = "Nothing of it is to leave that warehouse (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn slip_to_pack(
    State(carriers): State<Carriers>,
    Path(id): Path<String>,
    limits: Limits,
    Query(query): Query<ToPack>,
) -> Result<Reply, Problem> {
    let warehouse = limits.warehouses.choose(query.warehouse)?;
    let (order, bytes) = carriers.slip_to_pack(&id, warehouse, &limits).await?;
    Ok(pdf(&format!("packing-slip-{}", order.head.number), bytes))
}
