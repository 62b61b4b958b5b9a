//! `GET /v1/channels/{code}`

use axum::extract::State;

use crate::access::Limits;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::{Channel, Warehouses};

/// Read a channel
#[utoipa::path(get, path = "/v1/channels/{code}", tag = "channels",
    security(("key" = ["stock:read"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("code" = String, Path, example = "web")), responses(
    (status = 200, description = "The channel", body = Channel),
    (status = 404, description = "No such channel", body = ProblemDocument),
))]
pub(super) async fn get_channel(
    State(warehouses): State<Warehouses>,
    Path(code): Path<String>,
    limits: Limits,
) -> Result<Reply, Problem> {
    limits.channels.check(&code)?;
    Ok(Reply::resource(&warehouses.get_channel(&code).await?))
}
