//! `GET /v1/session/oidc`

use axum::extract::State;

use crate::access::{Access, LoginProvider};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Read by whom else one can log in
///
/// The OpenID provider, for a log-in page that wants to offer it.
#[utoipa::path(get, path = "/v1/session/oidc", tag = "access", security(()), responses(
    (status = 200, description = "The provider", body = LoginProvider),
    (status = 404, description = "There is none: one logs in with a password alone", body = ProblemDocument),
))]
pub(super) async fn get_oidc(State(access): State<Access>) -> Result<Reply, Problem> {
    let name = access.provider()?.name().to_owned();
    Ok(Reply::ok(&LoginProvider { name, start: "/v1/session/oidc/start".to_owned() }))
}
