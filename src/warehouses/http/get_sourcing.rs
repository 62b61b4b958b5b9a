//! `GET /v1/sourcing`

use axum::extract::State;

use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::warehouses::{Sourcing, Warehouses};

/// Read the default sourcing rules
///
/// They choose the warehouses for calls without a channel, and for channels without rules of their own.
#[utoipa::path(get, path = "/v1/sourcing", tag = "channels",
    security(("key" = ["stock:read"])),
    responses((status = 200, description = "The rules, the most important first", body = Sourcing)))]
pub(super) async fn get_sourcing(State(warehouses): State<Warehouses>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&warehouses.rules().await?))
}
