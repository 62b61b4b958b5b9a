//! The outermost layer: the request id, the client's address, problem documents, conditional reads, the headers of
//! every answer, and what is measured.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::client::{ForwardedHeader, Networks};
use super::command::RequestId;
use super::entity_tag::Versions;
use super::problem::{INTERNAL, METHOD_NOT_ALLOWED, NOT_FOUND, Problem};
use super::{headers, id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the outermost layer has to know of the world outside.
#[derive(Clone)]
pub struct Edge {
    pub trusted: Networks,
    pub forwarded: ForwardedHeader,
    pub tls: bool,
}

pub async fn edge(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let request_id = request_id(&request);
    request.extensions_mut().insert(RequestId(request_id.clone()));
    if let Some(address) = edge.trusted.client(&request, edge.forwarded) {
        request.extensions_mut().insert(address);
    }
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("other", |path| path.as_str()).to_owned();
    let if_none_match = request.headers().get(header::IF_NONE_MATCH).cloned();
    let is_api = is_api(request.uri().path());
    // Who has a token may see what it leads to, and a log is read by others.
    let path = if route.contains("{token}") { &route } else { request.uri().path() };
    let span = tracing::info_span!("request", id = %request_id, %method, path);

    let response = next.run(request).instrument(span.clone()).await;
    let mut response = write_problem(response, &request_id);
    if method == Method::GET && is_unchanged(&response, if_none_match.as_ref()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    let value = HeaderValue::from_str(&request_id).expect("request ids are visible characters");
    response.headers_mut().insert(REQUEST_ID, value);
    let status = response.status();
    headers::secure(response.headers_mut(), status, is_api, edge.tls);

    let status = status.as_u16();
    let elapsed = begun.elapsed();
    span.in_scope(|| tracing::debug!(status, elapsed_us = elapsed.as_micros() as u64, "answered"));
    let labels = [("method", method.to_string()), ("route", route), ("status", status.to_string())];
    metrics::counter!("stockhold_http_requests_total", &labels).increment(1);
    metrics::histogram!("stockhold_http_request_seconds", &labels[..2]).record(elapsed);
    response
}

/// All of the API, whether or not something stands at the address, and the metrics.
pub fn is_api(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/") || path == "/metrics"
}

/// The caller's own id when it is a sensible one, so that logs on both sides can be matched.
fn request_id(request: &Request) -> Arc<str> {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) => id.into(),
        _ => id::new().to_string().into(),
    }
}

fn write_problem(response: Response, request_id: &str) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let document = problem.document(Some(request_id));
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = serde_json::to_vec(&document).expect("problem documents are plain data");
    Response::from_parts(parts, Body::from(body))
}

fn is_unchanged(response: &Response, if_none_match: Option<&HeaderValue>) -> bool {
    let (Some(etag), Some(known)) = (response.headers().get(header::ETAG), if_none_match) else { return false };
    let (Ok(etag), Ok(known)) = (etag.to_str(), known.to_str()) else { return false };
    Versions::parse(known).is_some_and(|known| known.contain_weakly(etag))
}

pub async fn nothing_here(request: Request) -> Problem {
    Problem::new(&NOT_FOUND, format!("nothing stands at {}", request.uri().path()))
}

pub async fn method_not_allowed(request: Request) -> Problem {
    Problem::new(&METHOD_NOT_ALLOWED, format!("{} is not served here", request.method()))
}

/// A panic is a bug: it is logged where it happened, and this caller is told that the server failed.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    use axum::response::IntoResponse;
    Problem::new(&INTERNAL, "the server failed; its log has the cause").into_response()
}
