//! `POST /v1/session`

use axum::extract::{FromRequest, Request, State};

use super::{opened, origin};
use crate::access::http::browser;
use crate::access::{Access, LogIn, OwnSession};
use crate::platform::command::detached;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Log in
///
/// Sets the cookie `__Host-stockhold`, which browsers take by https, and on http://localhost. What is sent with it
/// needs no key; changes need the header `X-CSRF-Token` with the token of the answer.
#[utoipa::path(post, path = "/v1/session", tag = "access", security(()), request_body = LogIn, responses(
    (status = 201, description = "Logged in", body = OwnSession,
        headers(("Set-Cookie" = String, description = "The session; Secure, HttpOnly, SameSite=Lax"))),
    (status = 401, description = "Login or password is wrong, or the user is disabled (`login-failed`)", body = ProblemDocument),
    (status = 403, description = "It comes from a page of another origin (`csrf`)", body = ProblemDocument),
    (status = 429, description = "Too many log-ins with this login, or from this address, failed (`too-many-logins`); see `Retry-After`", body = ProblemDocument),
))]
pub(super) async fn log_in(State(access): State<Access>, request: Request) -> Result<Reply, Problem> {
    let (parts, body) = request.into_parts();
    browser::check_origin(&parts, access.settings.public_url.as_ref())?;
    let origin = origin(&parts);
    let Json(LogIn { login, password }) = Json::from_request(Request::from_parts(parts, body), &()).await?;
    detached(async move {
        let (token, session) = access.log_in(&login, password, &origin).await?;
        Ok(opened(&access, &token, &session))
    })
    .await
}
