//! Endpoints about webhooks.

mod create_webhook;
mod delete_webhook;
mod get_delivery;
mod get_webhook;
mod list_deliveries;
mod list_webhooks;
mod redeliver;
mod replay;
mod rotate_secret;
mod test_webhook;
mod update_webhook;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Webhooks;
use super::model::{IssuedWebhook, NewWebhook, Webhook};
use crate::platform::patch::Patch;
use crate::platform::reply::Reply;

type WebhookPatch = Patch<NewWebhook>;

pub fn router(webhooks: Webhooks) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_webhooks::list_webhooks, create_webhook::create_webhook))
        .routes(routes!(get_webhook::get_webhook, update_webhook::update_webhook, delete_webhook::delete_webhook))
        .routes(routes!(rotate_secret::rotate_webhook_secret))
        .routes(routes!(test_webhook::test_webhook))
        .routes(routes!(replay::replay_webhook))
        .routes(routes!(list_deliveries::list_deliveries))
        .routes(routes!(get_delivery::get_delivery))
        .routes(routes!(redeliver::redeliver))
        .with_state(webhooks)
}

/// The secret is told once: whoever repeats the call gets the webhook without it.
fn issued(webhook: Webhook, secret: String) -> Reply {
    let location = format!("/v1/webhooks/{}", webhook.id);
    let kept = IssuedWebhook { webhook: webhook.clone(), secret: None };
    Reply::created(location, &IssuedWebhook { webhook, secret: Some(secret) }).remembered_as(&kept)
}
