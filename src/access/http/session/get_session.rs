//! `GET /v1/session`

use axum::extract::State;

use crate::access::{Access, OpenSession, OwnSession};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

/// Read one's own session
///
/// Who is logged in, what they may do, and the token that changes need.
#[utoipa::path(get, path = "/v1/session", tag = "access", security(("session" = [])),
    responses((status = 200, description = "The session", body = OwnSession)))]
pub(super) async fn get_session(State(access): State<Access>, session: OpenSession) -> Result<Reply, Problem> {
    Ok(Reply::ok(&access.own_session(&session).await?))
}
