//! Endpoints of one's own session.

mod finish_oidc;
mod get_oidc;
mod get_session;
mod log_in;
mod log_out;
mod set_own_password;
mod start_oidc;

use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use bytes::Bytes;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::browser;
use crate::access::session::{Origin, Token};
use crate::access::{Access, OwnSession};
use crate::platform::client::ClientAddress;
use crate::platform::command::RequestId;
use crate::platform::reply::Reply;

pub(super) fn router() -> OpenApiRouter<Access> {
    OpenApiRouter::new()
        .routes(routes!(get_session::get_session, log_in::log_in, log_out::log_out))
        .routes(routes!(set_own_password::set_own_password))
        .routes(routes!(get_oidc::get_oidc))
        .routes(routes!(start_oidc::start_oidc))
        .routes(routes!(finish_oidc::finish_oidc))
}

/// What is noted of where somebody logs in.
fn origin(request: &Parts) -> Origin {
    let address = request.extensions.get::<ClientAddress>();
    let request_id = request.extensions.get::<RequestId>();
    let agent = request.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    Origin {
        request_id: request_id.map(|id| id.0.to_string()),
        address: address.map(|address| address.0),
        user_agent: agent.map(|agent| agent.chars().take(200).collect()),
    }
}

/// Sends the browser on, with a cookie.
fn on_to(location: String, cookies: impl IntoIterator<Item = String>) -> Reply {
    let headers = std::iter::once((LOCATION, location)).chain(cookies.into_iter().map(|it| (SET_COOKIE, it)));
    Reply::new(StatusCode::SEE_OTHER, headers.collect(), Bytes::new())
}

fn opened(access: &Access, token: &Token, session: &OwnSession) -> Reply {
    let mut reply = Reply::booked(session);
    reply.headers.push((SET_COOKIE, browser::keep(token, access.settings.session_days)));
    reply
}
