//! Endpoints of the brokers.

mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Brokers;

pub fn router(brokers: Brokers) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list::list_brokers)).with_state(brokers)
}
