//! Endpoints of roles.

mod delete_role;
mod get_role;
mod list_roles;
mod put_role;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;

pub(super) fn router() -> OpenApiRouter<Access> {
    OpenApiRouter::new().routes(routes!(list_roles::list_roles)).routes(routes!(
        get_role::get_role,
        put_role::put_role,
        delete_role::delete_role
    ))
}
