//! Endpoints of orders.

mod cancel;
mod create;
mod deliver;
mod get;
mod list;
mod ship;
mod take_back;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Orders;

pub fn router(orders: Orders) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list::list_orders, create::create_order))
        .routes(routes!(get::get_order))
        .routes(routes!(cancel::cancel_order))
        .routes(routes!(ship::ship_order))
        .routes(routes!(deliver::deliver_shipment))
        .routes(routes!(take_back::return_order))
        .with_state(orders)
}
