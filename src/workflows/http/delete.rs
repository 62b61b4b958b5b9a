//! `DELETE /v1/workflows/{code}`

use axum::extract::State;

use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::workflows::{Error, Workflows};

/// Delete a workflow
///
/// Orders on their way through it go on as they began.
#[utoipa::path(delete, path = "/v1/workflows/{code}", tag = "workflows", security(("key" = ["admin:write"])),
    params(("code" = String, Path, example = "standard")), responses(
    (status = 204, description = "Deleted"),
    (status = 404, description = "No such workflow", body = ProblemDocument),
))]
pub(super) async fn delete_workflow(
    State(workflows): State<Workflows>,
    Path(code): Path<String>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((workflows, code), |tx, (workflows, code), command| {
        Box::pin(async move {
            let current = workflows.lock_in_tx(tx, code).await?.ok_or_else(|| Error::NoDefinition(code.clone()))?;
            command.on(&current)?;
            workflows.delete_in_tx(tx, code).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
