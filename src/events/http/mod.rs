//! Endpoints of the feed.

mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Events;

pub fn router(events: Events) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list::list_events)).with_state(events)
}
