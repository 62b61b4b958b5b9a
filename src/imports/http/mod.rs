//! Endpoints of orders from elsewhere.

mod take_over;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Imports;

pub fn router(imports: Imports) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(take_over::import_order)).with_state(imports)
}
