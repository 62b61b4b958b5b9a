//! `GET /v1/return-requests/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::returns::Returns;
use crate::returns::model::ReturnRequest;

/// Read a return that was asked for
#[utoipa::path(get, path = "/v1/return-requests/{id}", tag = "returns",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The return", body = ReturnRequest),
    (status = 404, description = "No such return", body = ProblemDocument),
))]
pub(super) async fn get_return_request(
    State(returns): State<Returns>,
    Path(id): Path<Uuid>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&returns.get(id, &limits).await?))
}
