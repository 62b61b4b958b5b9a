//! `POST /v1/payments/{id}/void`

use axum::extract::State;
use uuid::Uuid;

use super::asked;
use crate::access::Limits;
use crate::payments::Payments;
use crate::payments::model::{OperationKind, PaymentDetail};
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Let go of money that is authorised
///
/// Also of what waits for the shopper, and of what has not come of a payment by hand of which some was captured. What was taken is
/// refunded instead.
#[utoipa::path(post, path = "/v1/payments/{id}/void", tag = "payments",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "Let go of", body = PaymentDetail),
    (status = 202, description = "The provider is asked for it: an operation is `pending`", body = PaymentDetail),
    (status = 404, description = "No such payment", body = ProblemDocument),
    (status = 409, description = "All of it is captured, or it is over, or another operation is under way (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn void_payment(
    State(payments): State<Payments>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((payments, id, limits), |tx, (payments, id, limits), command| {
        Box::pin(async move {
            let (_, payment) = payments.lock_in_tx(tx, *id, limits).await?;
            command.on(&payments.detail(tx, *id).await?)?;
            let amount = payment.to_void()?;
            payments.ask_in_tx(tx, payment, OperationKind::Void, amount, None).await?;
            Ok(asked(&payments.detail(tx, *id).await?))
        })
    });
    run.await
}
