//! `POST /v1/channels/{code}/orders`

use axum::extract::State;

use crate::access::Limits;
use crate::imports::Imports;
use crate::imports::model::{Import, ImportedOrder};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Take over an order that was placed elsewhere
///
/// It is sold already, so what is not there waits as a backorder, whatever the product allows, and `order.flagged` tells. The
/// same reference is the same order: it is answered as it is, and nothing is changed.
#[utoipa::path(post, path = "/v1/channels/{code}/orders", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("code" = String, Path, description = "The channel", example = "web")), request_body = ImportedOrder, responses(
    (status = 200, description = "It was taken over before", body = Import),
    (status = 201, description = "Taken over", body = Import),
    (status = 422, description = "There is no such channel or product (`validation`)", body = ProblemDocument),
))]
pub(super) async fn import_order(
    State(imports): State<Imports>,
    Path(code): Path<String>,
    limits: Limits,
    command: Command<Json<ImportedOrder>>,
) -> Result<Reply, Problem> {
    limits.channels.check(&code)?;
    command.body.0.order(&code).keep_customers_within(&limits)?;
    let run = command.run((imports, code, limits), |tx, (imports, code, limits), command| {
        Box::pin(async move {
            let (import, is_new) = imports.take_over_in_tx(tx, code, &command.body.0, limits).await?;
            let path = format!("/v1/orders/{}", import.order.head.id);
            if is_new {
                return Ok(Reply::created(path, &import).told_as(&import.trace()));
            }
            command.about(path);
            command.was(&import.trace());
            Ok(Reply::ok(&import).of_no_change())
        })
    });
    run.await
}
