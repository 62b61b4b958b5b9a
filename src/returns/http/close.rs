//! `POST /v1/return-requests/{id}/close`

use axum::extract::State;
use uuid::Uuid;

use super::changed;
use crate::access::Limits;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::returns::Returns;
use crate::returns::model::ReturnRequest;

/// Close a return
///
/// Nothing more is expected; what did not come may be asked for again.
#[utoipa::path(post, path = "/v1/return-requests/{id}/close", tag = "returns",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "As it is now", body = ReturnRequest),
    (status = 404, description = "No such return", body = ProblemDocument),
    (status = 409, description = "Nothing has come yet, or it has ended (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn close_return(
    State(returns): State<Returns>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((returns, id, limits), |tx, (returns, id, limits), command| {
        Box::pin(async move {
            let (_, mut request) = returns.lock_in_tx(tx, *id, limits).await?;
            command.on_told_as(&request, &request.trace())?;
            request.close()?;
            Ok(changed(&returns.save_in_tx(tx, &request, "return.closed").await?))
        })
    });
    run.await
}
