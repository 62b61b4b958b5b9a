//! `POST /v1/payments/{id}/refund`

use axum::extract::State;
use uuid::Uuid;

use super::asked;
use crate::access::Limits;
use crate::payments::Payments;
use crate::payments::model::{NewRefund, OperationKind, PaymentDetail};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Give money back
///
/// All that was taken, or a part. With `manual`, your word is the fact: it was paid back.
#[utoipa::path(post, path = "/v1/payments/{id}/refund", tag = "payments",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), request_body = NewRefund, responses(
    (status = 200, description = "Given back", body = PaymentDetail),
    (status = 202, description = "The provider is asked for it: an operation is `pending`", body = PaymentDetail),
    (status = 404, description = "No such payment", body = ProblemDocument),
    (status = 409, description = "Nothing of it was taken, or another operation is under way (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn refund_payment(
    State(payments): State<Payments>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<NewRefund>>,
) -> Result<Reply, Problem> {
    let run = command.run((payments, id, limits), |tx, (payments, id, limits), command| {
        Box::pin(async move {
            let (_, payment) = payments.lock_in_tx(tx, *id, limits).await?;
            command.on(&payments.detail(tx, *id).await?)?;
            let NewRefund { amount, reason } = &command.body.0;
            let amount = payment.to_refund(*amount)?;
            payments.ask_in_tx(tx, payment, OperationKind::Refund, amount, reason.as_deref()).await?;
            Ok(asked(&payments.detail(tx, *id).await?))
        })
    });
    run.await
}
