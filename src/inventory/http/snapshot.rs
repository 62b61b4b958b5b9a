//! `GET /v1/stock/snapshot`

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;

use crate::inventory::Inventory;
use crate::inventory::snapshot::{Line, Snapshot};
use crate::platform::problem::{Problem, ProblemDocument};

/// Read all stock, and go on with the feed
///
/// Every level of one moment, as lines of JSON. The first has a `cursor`: what `GET /v1/events` gives after it leads on
/// from here. Set levels to what the events' `after` says; those that the snapshot has already say the same again. The
/// last line is `end`; without it the snapshot is not whole, and has to be read anew. Ten minutes are given for it.
#[utoipa::path(get, path = "/v1/stock/snapshot", tag = "stock",
    security(("key" = ["stock:read"])), responses(
    (status = 200, description = "Lines, each a JSON object", content_type = "application/x-ndjson", body = Line),
    (status = 503, description = "Others are reading one (`overloaded`)", body = ProblemDocument),
))]
pub(super) async fn snapshot_stock(State(inventory): State<Inventory>) -> Result<Response, Problem> {
    let snapshot = inventory.snapshot().await?;
    let mut response = Body::from_stream(stream::try_unfold(snapshot, piece)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

async fn piece(mut snapshot: Snapshot) -> sqlx::Result<Option<(Vec<u8>, Snapshot)>> {
    let lines = snapshot.next().await?;
    let mut text = Vec::new();
    for line in &lines {
        serde_json::to_writer(&mut text, line).expect("lines are plain data, and memory takes all");
        text.push(b'\n');
    }
    Ok((!lines.is_empty()).then_some((text, snapshot)))
}
