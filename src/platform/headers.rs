//! What every answer says to browsers and caches, unless its handler said so itself.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

const CSP: HeaderName = header::CONTENT_SECURITY_POLICY;

/// Nothing may be loaded by what is no page, and nothing may put it in a frame.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// A page runs scripts of its own server and has styles from there, and none that stand in the page.
const PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

const YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// `api` is for what lies behind a key: nobody but the caller may keep it.
pub fn secure(headers: &mut HeaderMap, status: StatusCode, api: bool, tls: bool) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let csp = if kind.starts_with("text/html") { PAGE } else { NO_PAGE };
    put(headers, CSP, csp);
    put(headers, header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    put(headers, header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    put(headers, header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    put(headers, HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    put(headers, HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    if tls {
        put(headers, header::STRICT_TRANSPORT_SECURITY, YEAR);
    }
    if api || status.is_client_error() || status.is_server_error() {
        // With an ETag it may be kept by the caller, who asks each time whether it still holds.
        let kept = if headers.contains_key(header::ETAG) { "private, no-cache" } else { "no-store" };
        put(headers, header::CACHE_CONTROL, HeaderValue::from_static(kept));
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[(HeaderName, &'static str)], api: bool) -> HeaderMap {
        let mut headers: HeaderMap =
            given.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        secure(&mut headers, StatusCode::OK, api, false);
        headers
    }

    #[test]
    fn caches_keep_what_can_be_asked_for_again() {
        let etag = (header::ETAG, "\"x\"");
        assert_eq!(of(&[etag], true)[header::CACHE_CONTROL], "private, no-cache");
        assert_eq!(of(&[], true)[header::CACHE_CONTROL], "no-store");
        assert_eq!(of(&[], false).get(header::CACHE_CONTROL), None);
        assert_eq!(of(&[(header::CACHE_CONTROL, "max-age=60")], true)[header::CACHE_CONTROL], "max-age=60");
    }

    #[test]
    fn a_page_may_do_more_than_data() {
        let html = of(&[(header::CONTENT_TYPE, "text/html; charset=utf-8")], false);
        assert!(html[CSP].to_str().unwrap().contains("script-src 'self';"));
        assert_eq!(of(&[(header::CONTENT_TYPE, "application/json")], true)[CSP], NO_PAGE);
    }
}
