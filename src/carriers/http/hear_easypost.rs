//! `POST /v1/carriers/easypost/webhook`

use axum::extract::{Request, State};

use crate::carriers::Carriers;
use crate::platform::extract;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Hear from EasyPost
///
/// The address for EasyPost's webhooks. No key is needed: messages are known by their signature
/// (`carriers.easypost_webhook_secret`), and may come late, twice and in any order. What they report of a parcel is kept for the
/// shipments with its tracking number.
#[utoipa::path(post, path = "/v1/carriers/easypost/webhook", tag = "carriers",
    params(("X-Hmac-Signature" = Option<String>, Header, description = "HMAC-SHA256 of the body", max_length = 255)),
    request_body(content = serde_json::Value, description = "An event, as EasyPost sends it",
        example = json!({"id": "evt_1", "object": "Event", "description": "tracker.updated", "result": {
            "object": "Tracker", "tracking_code": "RM123456789GB", "tracking_details": []
        }})), responses(
    (status = 204, description = "Taken"),
    (status = 400, description = "It is not signed by EasyPost (`malformed-request`)", body = ProblemDocument),
    (status = 404, description = "EasyPost is not set up here", body = ProblemDocument),
))]
pub(super) async fn hear_easypost(State(carriers): State<Carriers>, request: Request) -> Result<Reply, Problem> {
    let signature = request.headers().get("x-hmac-signature").and_then(|value| value.to_str().ok());
    let signature = signature.unwrap_or_default().to_owned();
    // The bytes themselves are signed.
    let body = extract::read_body(request, &()).await?;
    carriers.hear_easypost(&signature, &body).await?;
    Ok(Reply::no_content())
}
