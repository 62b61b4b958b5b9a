//! Endpoints of reservations.

mod create;
mod create_batch;
mod extend;
mod get;
mod list;
mod release;

use std::time::Duration;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Reservations;
use crate::platform::coalesce::Shape;

/// Of the queues of calls that are carried out together. Few lanes make large batches; a second lets one be carried out
/// while another waits for the disk.
const SHAPE: Shape = Shape {
    lanes: 2,
    crowd: 20,
    patience: Duration::from_millis(10),
    gather: Duration::from_millis(1),
    batch: 128,
    waiting: 2048,
};

/// What the handlers work with.
#[derive(Clone)]
struct Desk {
    reservations: Reservations,
    create: create::Queue,
    extend: extend::Queue,
    release: release::Queue,
}

impl FromRef<Desk> for Reservations {
    fn from_ref(desk: &Desk) -> Self {
        desk.reservations.clone()
    }
}

impl FromRef<Desk> for create::Queue {
    fn from_ref(desk: &Desk) -> Self {
        desk.create.clone()
    }
}

impl FromRef<Desk> for extend::Queue {
    fn from_ref(desk: &Desk) -> Self {
        desk.extend.clone()
    }
}

impl FromRef<Desk> for release::Queue {
    fn from_ref(desk: &Desk) -> Self {
        desk.release.clone()
    }
}

pub fn router(reservations: Reservations) -> OpenApiRouter {
    let desk = Desk {
        create: create::queue(reservations.clone()),
        extend: extend::queue(reservations.clone()),
        release: release::queue(reservations.clone()),
        reservations,
    };
    OpenApiRouter::new()
        .routes(routes!(list::list_reservations, create::create_reservation))
        .routes(routes!(create_batch::create_reservations_batch))
        .routes(routes!(get::get_reservation, release::release_reservation))
        .routes(routes!(extend::extend_reservation))
        .with_state(desk)
}
