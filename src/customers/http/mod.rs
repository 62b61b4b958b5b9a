//! Endpoints of customers.

mod create;
mod erase;
mod export;
mod get;
mod list;
mod update;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Customers, Holders};

/// What the handlers work with.
#[derive(Clone)]
struct Desk {
    customers: Customers,
    holders: Holders,
}

impl FromRef<Desk> for Customers {
    fn from_ref(desk: &Desk) -> Self {
        desk.customers.clone()
    }
}

/// All routes below `/v1/customers`, with their documentation. `holders` are those who hold data of persons besides.
pub fn router(customers: Customers, holders: Holders) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list::list_customers, create::create_customer))
        .routes(routes!(get::get_customer, update::update_customer))
        .routes(routes!(export::export_customer))
        .routes(routes!(erase::erase_customer))
        .with_state(Desk { customers, holders })
}
