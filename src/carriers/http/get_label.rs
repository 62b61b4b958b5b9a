//! `GET /v1/labels/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::carriers::Carriers;
use crate::carriers::model::label::Label;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a label
#[utoipa::path(get, path = "/v1/labels/{id}", tag = "labels",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The label", body = Label),
    (status = 404, description = "No such label", body = ProblemDocument),
))]
pub(super) async fn get_label(
    State(carriers): State<Carriers>,
    Path(id): Path<Uuid>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&carriers.label(id, &limits).await?))
}
