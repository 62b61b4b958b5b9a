//! `GET /metrics`

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::ops::Ops;
use crate::telemetry;

/// Metrics in Prometheus' text format
#[utoipa::path(get, path = "/metrics", tag = "operations",
    security(("key" = ["admin:read"])),
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    let (open, idle) = ops.db.connections();
    metrics::gauge!("stockhold_database_connections", "state" => "open").set(f64::from(open));
    metrics::gauge!("stockhold_database_connections", "state" => "idle").set(idle as f64);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], telemetry::metrics().render())
}
