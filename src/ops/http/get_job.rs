//! `GET /v1/jobs/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::ops::Ops;
use crate::platform::extract::Path;
use crate::platform::jobs::JobDetail;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read a job
///
/// With what it is about.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "operations", security(("key" = ["admin:read"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "The job", body = JobDetail),
    (status = 404, description = "No such job", body = ProblemDocument),
))]
pub(super) async fn get_job(State(ops): State<Ops>, Path(id): Path<Uuid>) -> Result<Reply, Problem> {
    Ok(Reply::resource(&ops.jobs.get(id).await?))
}
