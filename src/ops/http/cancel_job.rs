//! `POST /v1/jobs/{id}/cancel`

use axum::extract::State;
use uuid::Uuid;

use crate::ops::Ops;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::jobs::Job;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Cancel a job
///
/// No attempt is begun any more. One that is under way goes on, and how it ends changes nothing.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "operations", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "Cancelled", body = Job),
    (status = 404, description = "No such job", body = ProblemDocument),
    (status = 409, description = "It has ended (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn cancel_job(
    State(ops): State<Ops>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((ops, id), |tx, (ops, id), command| {
        Box::pin(async move {
            let job = ops.jobs.lock_job_in_tx(tx, *id).await?;
            command.was(&job);
            Ok(Reply::ok(&ops.jobs.cancel_job_in_tx(tx, &job).await?))
        })
    });
    run.await
}
