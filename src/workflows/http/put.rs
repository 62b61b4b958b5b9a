//! `PUT /v1/workflows/{code}`

use axum::extract::State;

use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::workflows::Workflows;
use crate::workflows::model::{NewWorkflow, Workflow};

/// Make a workflow, or change it
///
/// Orders that are placed from then on go through it; those on their way go on as they began. Each step is named once at most:
/// `review`, `payment`, `capture` (before `ship`: the money is taken first; after it: once all has left) and `ship`.
#[utoipa::path(put, path = "/v1/workflows/{code}", tag = "workflows", security(("key" = ["admin:write"])),
    params(("code" = String, Path, pattern = "^[A-Za-z0-9._-]{1,32}$", example = "standard")),
    request_body = NewWorkflow, responses(
    (status = 200, description = "The workflow as it is now", body = Workflow),
    (status = 422, description = "Its steps make no sense, or other orders of a channel go elsewhere (`validation`)", body = ProblemDocument),
))]
pub(super) async fn put_workflow(
    State(workflows): State<Workflows>,
    Path(code): Path<String>,
    command: Command<Json<NewWorkflow>>,
) -> Result<Reply, Problem> {
    let run = command.run((workflows, code), |tx, (workflows, code), command| {
        Box::pin(async move {
            command.on(&workflows.lock_in_tx(tx, code).await?)?;
            Ok(Reply::resource(&workflows.put_in_tx(tx, code, &command.body.0).await?))
        })
    });
    run.await
}
