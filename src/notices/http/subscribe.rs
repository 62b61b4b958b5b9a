//! `POST /v1/products/{sku}/subscriptions`

use axum::extract::State;

use crate::notices::Notices;
use crate::notices::model::{NewSubscription, Subscription};
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Subscribe an address to a product
///
/// It gets one mail as soon as what it wants can be sold: those who wait longest first, and as many as what is available covers.
/// With that the subscription ends. An address waits for a product once: who is subscribed already is answered as he is (200).
/// Where no mails are sent (`smtp.url`), subscriptions wait. Whoever repeats the call with its `Idempotency-Key` gets the
/// answer without the address.
#[utoipa::path(post, path = "/v1/products/{sku}/subscriptions", tag = "notices", security(("key" = ["catalog:write"])),
    params(("sku" = String, Path, example = "TEA-1")), request_body = NewSubscription, responses(
    (status = 200, description = "Subscribed already", body = Subscription),
    (status = 201, description = "Subscribed", body = Subscription),
    (status = 404, description = "No such product or channel", body = ProblemDocument),
    (status = 409, description = "Too many wait for it (`in-use`)", body = ProblemDocument),
))]
pub(super) async fn subscribe(
    State(notices): State<Notices>,
    Path(sku): Path<String>,
    command: Command<Json<NewSubscription>>,
) -> Result<Reply, Problem> {
    let run = command.run((notices, sku), |tx, (notices, sku), command| {
        Box::pin(async move {
            let (subscription, is_new) = notices.subscribe_in_tx(tx, sku, &command.body.0).await?;
            let kept = subscription.without_address();
            if !is_new {
                return Ok(Reply::ok(&subscription).of_no_change().remembered_as(&kept));
            }
            let location = format!("/v1/subscriptions/{}", subscription.id);
            Ok(Reply::created(location, &subscription).remembered_as(&kept))
        })
    });
    run.await
}
