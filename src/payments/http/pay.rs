//! `POST /v1/payments`

use axum::extract::State;

use crate::access::Limits;
use crate::payments::Payments;
use crate::payments::model::{NewPayment, PaymentDetail};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Begin a payment of an order
///
/// With `manual`, your word is the fact: the money is promised (an invoice was sent, a transfer was announced), and with
/// `"capture": "automatic"` it was paid. With `stripe`, the server makes a PaymentIntent: with `payment_method` it confirms it,
/// without one the shopper's browser does, by the `client_secret` that `GET /v1/payments/{id}` gives.
#[utoipa::path(post, path = "/v1/payments", tag = "payments",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["channel"]))),
    request_body = NewPayment, responses(
    (status = 201, description = "Begun", body = PaymentDetail),
    (status = 409, description = "The order is cancelled, or other payments cover it (`invalid-state`)", body = ProblemDocument),
))]
pub(super) async fn create_payment(
    State(payments): State<Payments>,
    limits: Limits,
    command: Command<Json<NewPayment>>,
) -> Result<Reply, Problem> {
    let run = command.run((payments, limits), |tx, (payments, limits), command| {
        Box::pin(async move {
            let made = payments.pay_in_tx(tx, &command.body.0, limits).await?;
            Ok(Reply::created(format!("/v1/payments/{}", made.payment.id), &made))
        })
    });
    run.await
}
