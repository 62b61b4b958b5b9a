//! `GET /v1/session/oidc/start`

use axum::extract::{Request, State};
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{on_to, origin};
use crate::access::Access;
use crate::access::http::browser;
use crate::access::oidc::PATIENCE;
use crate::platform::extract::Query;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Start {
    /// Where to go then: a path on this server
    #[param(
        max_length = 1000,
        pattern = r"^/([A-Za-z0-9._~!$&'()*+,;=:@%?#-][A-Za-z0-9._~!$&'()*+,;=:@%?#/-]*)?$",
        example = "/docs/"
    )]
    return_to: Option<String>,
}

/// Log in by the OpenID provider
///
/// To be opened in a browser. It is sent to the provider, which sends it back to `/v1/session/oidc/callback` of
/// `public_url`; there it gets a session as from `POST /v1/session`, and is sent to `return_to`. It has ten minutes.
#[utoipa::path(get, path = "/v1/session/oidc/start", tag = "access", security(()), params(Start), responses(
    (status = 303, description = "On to the provider", headers(
        ("Location" = String, description = "An address of the provider"),
        ("Set-Cookie" = String, description = "What ties the log-in to this browser; Secure, HttpOnly, SameSite=Lax"))),
    (status = 404, description = "No provider is set up (`not-found`)", body = ProblemDocument),
    (status = 429, description = "Too many log-ins from this address are on their way (`too-many-logins`); see `Retry-After`", body = ProblemDocument),
    (status = 503, description = "The provider does not answer (`unavailable`); log in with a password", body = ProblemDocument),
))]
pub(super) async fn start_oidc(
    State(access): State<Access>,
    Query(query): Query<Start>,
    request: Request,
) -> Result<Reply, Problem> {
    let (parts, _): (Parts, _) = request.into_parts();
    let return_to = query.return_to.as_deref().unwrap_or("/");
    let (ticket, url) = access.begin_log_in(return_to, &origin(&parts)).await?;
    Ok(on_to(url.into(), [browser::keep_ticket(&ticket, PATIENCE)]))
}
