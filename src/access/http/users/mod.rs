//! Endpoints of users.

mod create_user;
mod disable_user;
mod end_sessions;
mod get_user;
mod list_sessions;
mod list_users;
mod set_password;
mod unlink_user;
mod update_user;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Access, NewUser};
use crate::platform::patch::Patch;

type UserPatch = Patch<NewUser>;

pub(super) fn router() -> OpenApiRouter<Access> {
    OpenApiRouter::new()
        .routes(routes!(list_users::list_users, create_user::create_user))
        .routes(routes!(get_user::get_user, update_user::update_user, disable_user::disable_user))
        .routes(routes!(set_password::set_password))
        .routes(routes!(unlink_user::unlink_user))
        .routes(routes!(list_sessions::list_sessions, end_sessions::end_sessions))
}
