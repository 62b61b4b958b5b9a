//! `POST /v1/labels/{id}/void`

use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;

use crate::access::Limits;
use crate::carriers::Carriers;
use crate::carriers::model::label::{Label, LabelStatus};
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Take a label back
///
/// One of the shop's own is void at once. One that was bought is `voiding` until the provider has taken it back, which may take
/// weeks; where it does not, the label is `bought` again, with `last_error`.
#[utoipa::path(post, path = "/v1/labels/{id}/void", tag = "labels",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "Void", body = Label),
    (status = 202, description = "The provider is asked to take it back: it is `voiding`", body = Label),
    (status = 404, description = "No such label", body = ProblemDocument),
    (status = 409, description = "It is not `bought` (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn void_label(
    State(carriers): State<Carriers>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((carriers, id, limits), |tx, (carriers, id, limits), command| {
        Box::pin(async move {
            let label = carriers.lock_label_in_tx(tx, *id, limits).await?;
            command.on_told_as(&label, &label.trace())?;
            let label = carriers.void_label_in_tx(tx, &label).await?;
            let is_under_way = label.status == LabelStatus::Voiding;
            let status = if is_under_way { StatusCode::ACCEPTED } else { StatusCode::OK };
            Ok(Reply::json(status, &label).told_as(&label.trace()))
        })
    });
    run.await
}
