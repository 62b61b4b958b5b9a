//! Endpoints of feeds.

mod delete_source;
mod get_source;
mod list_discrepancies;
mod list_sources;
mod put_source;
mod report_stock;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Feeds;

/// All routes below `/v1/feeds`, with their documentation.
pub fn router(feeds: Feeds) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_sources::list_feeds))
        .routes(routes!(get_source::get_feed, put_source::put_feed, delete_source::delete_feed))
        .routes(routes!(report_stock::report_stock))
        .routes(routes!(list_discrepancies::list_discrepancies))
        .with_state(feeds)
}
