//! Endpoints about subscriptions.

mod get_subscription;
mod list_subscriptions;
mod subscribe;
mod unsubscribe;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Notices;

pub fn router(notices: Notices) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_subscriptions::list_subscriptions, subscribe::subscribe))
        .routes(routes!(get_subscription::get_subscription, unsubscribe::unsubscribe))
        .with_state(notices)
}
