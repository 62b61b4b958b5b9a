//! Endpoints of processes.

mod approve;
mod compensate;
mod delete;
mod get;
mod list;
mod list_runs;
mod put;
mod retry;
mod skip;
mod timeline;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::Decision;
use super::{Choice, Workflows};
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

pub fn router(workflows: Workflows) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list::list_workflows))
        .routes(routes!(get::get_workflow, put::put_workflow, delete::delete_workflow))
        .routes(routes!(list_runs::list_workflow_runs))
        .routes(routes!(timeline::get_timeline))
        .routes(routes!(approve::approve_step))
        .routes(routes!(retry::retry_step))
        .routes(routes!(skip::skip_step))
        .routes(routes!(compensate::compensate_order))
        .with_state(workflows)
}

/// What all decisions have in common.
async fn decide(
    workflows: Workflows,
    id: String,
    limits: Limits,
    command: Command<Json<Decision>>,
    choice: Choice,
) -> Result<Reply, Problem> {
    let run = command.run((workflows, id, limits), move |tx, (workflows, id, limits), command| {
        Box::pin(async move {
            let (order, run) = workflows.lock_run_in_tx(tx, id, limits).await?;
            command.was(&run);
            command.about(format!("/v1/orders/{}/workflow", order.head.id));
            let (reason, actor) = (command.body.0.reason.as_deref(), &*command.caller.name);
            let run = workflows.decide_in_tx(tx, order, run, choice, reason, actor).await?;
            Ok(Reply::ok(&run))
        })
    });
    run.await
}
