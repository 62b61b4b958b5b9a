//! `POST /v1/payments/{id}/capture`

use axum::extract::State;
use uuid::Uuid;

use super::asked;
use crate::access::Limits;
use crate::payments::Payments;
use crate::payments::model::{NewCapture, OperationKind, PaymentDetail};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Take money that is authorised
///
/// All of it, or a part. Stripe takes money of a payment once, and lets go of the rest; by hand it may come bit by bit.
#[utoipa::path(post, path = "/v1/payments/{id}/capture", tag = "payments",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), request_body = NewCapture, responses(
    (status = 200, description = "Taken", body = PaymentDetail),
    (status = 202, description = "The provider is asked for it: an operation is `pending`", body = PaymentDetail),
    (status = 404, description = "No such payment", body = ProblemDocument),
    (status = 409, description = "Nothing of it is authorised, the order is cancelled, or another operation is under way (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn capture_payment(
    State(payments): State<Payments>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<NewCapture>>,
) -> Result<Reply, Problem> {
    let run = command.run((payments, id, limits), |tx, (payments, id, limits), command| {
        Box::pin(async move {
            let (order, payment) = payments.lock_in_tx(tx, *id, limits).await?;
            command.on(&payments.detail(tx, *id).await?)?;
            let amount = payment.to_capture(&order, command.body.0.amount)?;
            payments.ask_in_tx(tx, payment, OperationKind::Capture, amount, None).await?;
            Ok(asked(&payments.detail(tx, *id).await?))
        })
    });
    run.await
}
