//! `GET /v1/self-check`

use axum::extract::State;

use crate::ops::{Ops, Report};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

/// Prove the books
///
/// Recomputes every level from the ledger, the holds and the allocations, and every order line from its
/// shipments and returns, in one snapshot of the database. Each difference is listed; there should be none.
#[utoipa::path(get, path = "/v1/self-check", tag = "operations",
    security(("key" = ["admin:read"])),
    responses((status = 200, description = "What was found", body = Report)))]
pub(super) async fn self_check(State(ops): State<Ops>) -> Result<Reply, Problem> {
    Ok(Reply::ok(&ops.self_check.run().await?))
}
