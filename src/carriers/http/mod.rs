//! Endpoints of carriers, and the page for customers.

mod get_tracking;
mod list_carriers;
mod make_link;
mod report_tracking;
mod track;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Carriers;

pub fn router(carriers: Carriers) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_carriers::list_carriers))
        .routes(routes!(get_tracking::get_tracking, report_tracking::report_tracking))
        .routes(routes!(make_link::make_tracking_link))
        .routes(routes!(track::track))
        .with_state(carriers)
}
