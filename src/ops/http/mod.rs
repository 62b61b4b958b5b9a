//! Endpoints for whoever runs the server, and the pages about the API itself.

mod cancel_job;
mod get_job;
mod health;
mod list_jobs;
mod metrics;
mod problems;
mod retry_job;
mod self_check;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::{Redirect, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::Ops;
use crate::lifecycle::Shutdown;

pub fn router(ops: Ops) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(problems::get_problem))
        .routes(routes!(self_check::self_check))
        .routes(routes!(list_jobs::list_jobs))
        .routes(routes!(get_job::get_job))
        .routes(routes!(retry_job::retry_job))
        .routes(routes!(cancel_job::cancel_job))
        .with_state(ops)
}

/// Has clients of a server that is stopping make a new connection, which another server will get, before this one is
/// cut. Otherwise one may send on an idle connection in the moment in which it is closed, and never know what became of
/// its request.
pub async fn close_when_stopping(State(shutdown): State<Shutdown>, request: Request, next: Next) -> Response {
    let may_say_so = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    if may_say_so && shutdown.has_started() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// `/openapi.json`, Swagger UI from the binary at `/docs`, and `/asyncapi.json`.
pub fn documents(document: OpenApi, events: &serde_json::Value) -> axum::Router {
    let json = |text: String| {
        let text: Arc<str> = text.into();
        get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) })
    };
    let events = serde_json::to_string_pretty(events).expect("the document is plain data");
    let document = document.to_pretty_json().expect("the document is plain data");
    let config = Config::from("/openapi.json")
        .try_it_out_enabled(true)
        .persist_authorization(true)
        .display_request_duration(true)
        .filter(true)
        .doc_expansion("none")
        .use_base_layout();
    axum::Router::new()
        .route("/openapi.json", json(document))
        .route("/asyncapi.json", json(events))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .merge(SwaggerUi::new("/docs").config(config))
}
