//! `POST /v1/jobs/{id}/retry`

use axum::extract::State;
use uuid::Uuid;

use crate::ops::Ops;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::jobs::Job;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Try a job again
///
/// Now, and with all its attempts: one that was given up or cancelled, or that waits for its next attempt.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "operations", security(("key" = ["admin:write"])),
    params(("id" = Uuid, Path, example = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")), responses(
    (status = 200, description = "It is due", body = Job),
    (status = 404, description = "No such job", body = ProblemDocument),
    (status = 409, description = "It is done, or a server is at it (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn retry_job(
    State(ops): State<Ops>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((ops, id), |tx, (ops, id), command| {
        Box::pin(async move {
            let job = ops.jobs.lock_job_in_tx(tx, *id).await?;
            command.was(&job);
            Ok(Reply::ok(&ops.jobs.retry_job_in_tx(tx, &job).await?))
        })
    });
    run.await
}
