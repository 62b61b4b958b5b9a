//! Endpoints for whoever runs the server, and the pages about the API itself.

mod health;
mod metrics;
mod problems;
mod self_check;

use std::sync::Arc;

use axum::http::header;
use axum::response::Redirect;
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::Ops;

pub fn router(ops: Ops) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(problems::get_problem))
        .routes(routes!(self_check::self_check))
        .with_state(ops)
}

/// `/openapi.json`, and Swagger UI from the binary at `/docs`.
pub fn documents(document: OpenApi) -> axum::Router {
    let text: Arc<str> = document.to_pretty_json().expect("the document is plain data").into();
    let json = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) });
    let config = Config::from("/openapi.json")
        .try_it_out_enabled(true)
        .persist_authorization(true)
        .display_request_duration(true)
        .filter(true)
        .doc_expansion("none")
        .use_base_layout();
    axum::Router::new()
        .route("/openapi.json", json)
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .merge(SwaggerUi::new("/docs").config(config))
}
