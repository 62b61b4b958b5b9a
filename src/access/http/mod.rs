//! Endpoints of keys, users, roles and sessions, and the guard in front of everything.

mod browser;
mod create_key;
mod get_key;
mod guard;
mod list_audit;
mod list_keys;
mod revoke_key;
mod roles;
mod rotate_key;
mod session;
mod users;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Access;

pub use guard::{Guard, guard};

pub fn router(access: Access) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_keys::list_keys, create_key::create_key))
        .routes(routes!(get_key::get_key, revoke_key::revoke_key))
        .routes(routes!(rotate_key::rotate_key))
        .merge(roles::router())
        .merge(session::router())
        .merge(users::router())
        .routes(routes!(list_audit::list_audit))
        .with_state(access)
}
