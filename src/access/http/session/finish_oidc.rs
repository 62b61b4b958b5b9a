//! `GET /v1/session/oidc/callback`

use axum::extract::{Request, State};
use url::form_urlencoded;
use utoipa::IntoParams;

use super::{on_to, origin};
use crate::access::http::browser;
use crate::access::oidc::Callback;
use crate::access::{Access, Error};
use crate::platform::command::detached;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// For the document alone: providers send more than this, which is nothing to us.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(super) struct Finish {
    /// What the provider gives for a token, once
    #[param(max_length = 4096)]
    code: Option<String>,
    /// What the provider was given when the log-in began
    #[param(max_length = 100)]
    state: Option<String>,
    /// Why the provider did not log them in
    #[param(max_length = 1000)]
    error: Option<String>,
    /// Which provider this is
    #[param(max_length = 1000)]
    iss: Option<String>,
}

/// Come back from the OpenID provider
///
/// Not to be called but by a browser that the provider sends. It has to be the browser that began, and works once.
#[utoipa::path(get, path = "/v1/session/oidc/callback", tag = "access", security(()), params(Finish), responses(
    (status = 303, description = "Logged in, and on to where it was begun", headers(
        ("Location" = String, description = "A path on this server"),
        ("Set-Cookie" = String, description = "The session; Secure, HttpOnly, SameSite=Lax"))),
    (status = 401, description = "The log-in did not succeed (`external-login-failed`)", body = ProblemDocument),
    (status = 404, description = "No provider is set up (`not-found`)", body = ProblemDocument),
    (status = 429, description = "Too many log-ins from this address failed (`too-many-logins`); see `Retry-After`", body = ProblemDocument),
    (status = 503, description = "The provider does not answer (`unavailable`); log in with a password", body = ProblemDocument),
))]
pub(super) async fn finish_oidc(State(access): State<Access>, request: Request) -> Result<Reply, Problem> {
    let (parts, _) = request.into_parts();
    access.provider()?;
    let callback = read(parts.uri.query().unwrap_or_default()).ok_or(Error::NotBegun)?;
    let (ticket, origin) = (browser::ticket(&parts.headers), origin(&parts));
    detached(async move {
        let (token, return_to) = access.finish_log_in(ticket.as_ref(), &callback, &origin).await?;
        let kept = browser::keep(&token, access.settings.session_days);
        Ok(on_to(return_to, [kept, browser::drop_ticket()]))
    })
    .await
}

/// None where something is said twice: then it is not clear what was meant.
fn read(query: &str) -> Option<Callback> {
    let mut callback = Callback::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let field = match &*name {
            "code" => &mut callback.code,
            "state" => &mut callback.state,
            "iss" => &mut callback.issuer,
            _ => continue,
        };
        if field.replace(value.into_owned()).is_some() {
            return None;
        }
    }
    Some(callback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_is_not_read() {
        let read_in = read("state=a%20b&session_state=1&code=c&iss=https%3A%2F%2Fid").unwrap();
        assert_eq!((read_in.state.as_deref(), read_in.code.as_deref()), (Some("a b"), Some("c")));
        assert_eq!(read_in.issuer.as_deref(), Some("https://id"));
        assert!(read("error=access_denied&state=a").unwrap().code.is_none());
        assert!(read("state=a&code=b&state=a").is_none());
    }
}
