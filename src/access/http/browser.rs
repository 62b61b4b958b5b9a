//! What is between a browser and a session: the cookie, and the proof that a change comes from our own pages.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use url::Url;

use crate::access::oidc::Ticket;
use crate::access::secret;
use crate::access::session::Token;
use crate::platform::problem::{CSRF, Problem};

/// `__Host-` makes browsers keep it to this very host, by https, and let no other host set it. They take it on
/// http://localhost as well.
const COOKIE: &str = "__Host-stockhold";
/// What is kept while somebody is at the OpenID provider.
const PENDING: &str = "__Host-stockhold-login";

pub fn session_token(headers: &HeaderMap) -> Option<Token> {
    value(headers, COOKIE).map(Token)
}

pub fn ticket(headers: &HeaderMap) -> Option<Ticket> {
    value(headers, PENDING).map(Ticket)
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    CookieJar::from_headers(headers).get(name).map(|cookie| cookie.value().to_owned())
}

/// Keeps the session as long as the server does: it decides when that ends.
pub fn keep(token: &Token, days: i32) -> String {
    cookie(COOKIE, token.0.clone(), i64::from(days) * 86_400)
}

pub fn drop() -> String {
    cookie(COOKIE, String::new(), 0)
}

pub fn keep_ticket(ticket: &Ticket, patience: Duration) -> String {
    cookie(PENDING, ticket.0.clone(), patience.as_secs().cast_signed())
}

pub fn drop_ticket() -> String {
    cookie(PENDING, String::new(), 0)
}

/// Lax, not Strict: whoever follows a link to us is logged in, and changes are guarded by [`check_csrf`]. So does
/// whoever comes back from the OpenID provider.
fn cookie(name: &'static str, value: String, seconds: i64) -> String {
    let cookie = Cookie::build((name, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax);
    format!("{}; Max-Age={seconds}", cookie.build())
}

/// A cookie is sent whatever page made the browser ask. So a change needs what only a page of ours can have:
/// the session's token in a header, and our own origin.
pub fn check_csrf(request: &Parts, token: &str, public_url: Option<&Url>) -> Result<(), Problem> {
    if matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    check_origin(request, public_url)?;
    let given = request.headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
    match given {
        // Digests are compared, so that the time it takes tells nothing.
        Some(given) if secret::hash(given) == secret::hash(token) => Ok(()),
        Some(_) => Err(Problem::new(&CSRF, "X-CSRF-Token is not the one of this session")),
        None => Err(Problem::new(&CSRF, "a change in a session needs the header X-CSRF-Token")),
    }
}

/// Refuses what a browser says comes from elsewhere. Programs say nothing of the kind.
pub fn check_origin(request: &Parts, public_url: Option<&Url>) -> Result<(), Problem> {
    let text = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let refused = |from: &str| Err(Problem::new(&CSRF, format!("it comes from {from}")));
    match (text("sec-fetch-site"), text("origin")) {
        (Some("same-origin" | "none"), _) | (None, None) => Ok(()),
        (Some(_), _) => refused("another site, says Sec-Fetch-Site"),
        (None, Some(origin)) => {
            let host = text(header::HOST.as_str()).or_else(|| request.uri.authority().map(|it| it.as_str()));
            let named = origin.split_once("://").map(|(_, host)| host);
            let public = public_url.is_some_and(|url| url.origin().ascii_serialization() == origin);
            if public || (named.is_some() && named == host) { Ok(()) } else { refused("another origin, says Origin") }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn origin_is_ours(headers: &[(&str, &str)]) -> bool {
        let request = headers.iter().fold(Request::post("/v1/orders"), |it, (name, value)| it.header(*name, *value));
        let public = Url::parse("https://stock.example.com/").unwrap();
        check_origin(&request.body(()).unwrap().into_parts().0, Some(&public)).is_ok()
    }

    #[test]
    fn what_comes_from_elsewhere_is_told_by_its_headers() {
        let host = ("host", "127.0.0.1:8080");
        assert!(origin_is_ours(&[host]));
        for ours in [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("origin", "http://127.0.0.1:8080"),
            ("origin", "https://stock.example.com"),
        ] {
            assert!(origin_is_ours(&[host, ours]), "{ours:?}");
        }
        for foreign in [
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "\u{e9}"),
            ("origin", "null"),
            ("origin", ""),
            ("origin", "http://127.0.0.1:8081"),
            ("origin", "https://stock.example.com.evil.example"),
        ] {
            assert!(!origin_is_ours(&[host, foreign]), "{foreign:?}");
        }
        assert!(!origin_is_ours(&[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:8080"), host]));
    }

    #[test]
    fn the_cookie_is_kept_to_this_host_and_from_scripts() {
        let cookie = keep(&Token("secret".to_owned()), 7);
        let mut parts: Vec<&str> = cookie.split("; ").collect();
        parts.sort_unstable();
        let expected = ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=Lax", "Secure", "__Host-stockhold=secret"];
        assert_eq!(parts, expected);
    }
}
