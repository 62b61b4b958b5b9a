//! `POST /v1/payments/webhooks/stripe`

use axum::extract::{Request, State};
use axum::http::HeaderMap;

use crate::payments::Payments;
use crate::platform::extract;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Hear from Stripe
///
/// The address for Stripe's webhooks. No key is needed: messages are known by their signature (`stripe.webhook_secret`), which
/// is five minutes old at most. A message is a hint to ask Stripe, and may come late, twice and in any order.
#[utoipa::path(post, path = "/v1/payments/webhooks/stripe", tag = "payments",
    params(("Stripe-Signature" = Option<String>, Header, description = "Time and HMAC-SHA256 of the body", max_length = 4096)),
    request_body(content = serde_json::Value, description = "An event, as Stripe sends it",
        example = json!({"id": "evt_1", "data": {"object": {"id": "pi_1", "object": "payment_intent"}}})), responses(
    (status = 204, description = "Taken"),
    (status = 400, description = "It is not signed by Stripe, or too old (`malformed-request`)", body = ProblemDocument),
    (status = 404, description = "Stripe is not set up here", body = ProblemDocument),
))]
pub(super) async fn hear_provider(State(payments): State<Payments>, request: Request) -> Result<Reply, Problem> {
    let signature = signature(request.headers());
    // The bytes themselves are signed.
    let body = extract::read_body(request, &()).await?;
    payments.hear_stripe(&signature, &body).await?;
    Ok(Reply::no_content())
}

fn signature(headers: &HeaderMap) -> String {
    headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
