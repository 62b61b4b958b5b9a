//! Endpoints of carts.

mod add_line;
mod check_out;
mod create;
mod delete;
mod get;
mod list;
mod merge;
mod remove_line;
mod update;
mod update_line;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Carts;

/// All routes below `/v1/carts`, with their documentation.
pub fn router(carts: Carts) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list::list_carts, create::create_cart))
        .routes(routes!(get::get_cart, update::update_cart, delete::delete_cart))
        .routes(routes!(add_line::add_cart_line))
        .routes(routes!(update_line::update_cart_line, remove_line::remove_cart_line))
        .routes(routes!(merge::merge_carts))
        .routes(routes!(check_out::check_out_cart))
        .with_state(carts)
}
