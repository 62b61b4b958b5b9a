//! `GET /v1/warehouses/{code}`

use axum::extract::State;

use crate::access::Limits;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::{Warehouse, Warehouses};

/// Read a warehouse
#[utoipa::path(get, path = "/v1/warehouses/{code}", tag = "warehouses",
    security(("key" = ["stock:read"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("code" = String, Path, example = "LONDON")), responses(
    (status = 200, description = "The warehouse", body = Warehouse),
    (status = 404, description = "No such warehouse", body = ProblemDocument),
))]
pub(super) async fn get_warehouse(
    State(warehouses): State<Warehouses>,
    Path(code): Path<String>,
    limits: Limits,
) -> Result<Reply, Problem> {
    limits.warehouses.check(&code)?;
    Ok(Reply::resource(&warehouses.get(&code).await?))
}
