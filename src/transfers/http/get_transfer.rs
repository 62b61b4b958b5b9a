//! `GET /v1/transfers/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::transfers::{Transfer, Transfers};

/// Read a transfer
#[utoipa::path(get, path = "/v1/transfers/{id}", tag = "transfers",
    security(("key" = ["warehouse_ops:read"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "The transfer", body = Transfer),
    (status = 404, description = "No such transfer", body = ProblemDocument),
))]
pub(super) async fn get_transfer(
    State(transfers): State<Transfers>,
    Path(id): Path<Uuid>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&transfers.get(id, &limits).await?))
}
