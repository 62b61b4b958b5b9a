//! Endpoints of orders.

mod add_lines;
mod cancel;
mod cancel_line;
mod create;
mod deliver;
mod get;
mod list;
mod reallocate;
mod ship;
mod substitute;
mod take_back;
mod update;
mod update_line;

use std::sync::Arc;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Order, Orders, Process};
use crate::platform::reply::Reply;

/// What the handlers work with.
#[derive(Clone)]
struct Desk {
    orders: Orders,
    create: create::Queue,
}

impl FromRef<Desk> for Orders {
    fn from_ref(desk: &Desk) -> Self {
        desk.orders.clone()
    }
}

impl FromRef<Desk> for create::Queue {
    fn from_ref(desk: &Desk) -> Self {
        desk.create.clone()
    }
}

/// 200 with the order as it is now.
fn changed(order: &Order) -> Reply {
    Reply::resource(order).told_as(&order.trace())
}

pub fn router(orders: Orders, process: Arc<dyn Process>) -> OpenApiRouter {
    let ship = OpenApiRouter::new().routes(routes!(ship::ship_order)).with_state((orders.clone(), process));
    let desk = Desk { create: create::queue(orders.clone()), orders };
    OpenApiRouter::new()
        .routes(routes!(list::list_orders, create::create_order))
        .routes(routes!(get::get_order, update::update_order))
        .routes(routes!(cancel::cancel_order))
        .routes(routes!(add_lines::add_order_lines))
        .routes(routes!(update_line::update_order_line))
        .routes(routes!(cancel_line::cancel_order_line))
        .routes(routes!(substitute::substitute_order_line))
        .routes(routes!(reallocate::reallocate_order))
        .routes(routes!(deliver::deliver_shipment))
        .routes(routes!(take_back::return_order))
        .with_state(desk)
        .merge(ship)
}
