//! Endpoints of reservations.

mod create;
mod create_batch;
mod extend;
mod get;
mod list;
mod release;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Reservations;

pub fn router(reservations: Reservations) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list::list_reservations, create::create_reservation))
        .routes(routes!(create_batch::create_reservations_batch))
        .routes(routes!(get::get_reservation, release::release_reservation))
        .routes(routes!(extend::extend_reservation))
        .with_state(reservations)
}
