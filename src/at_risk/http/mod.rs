//! The endpoint of orders at risk.

mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AtRisk;

pub fn router(at_risk: AtRisk) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list::list_orders_at_risk)).with_state(at_risk)
}
