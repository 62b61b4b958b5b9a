//! `GET /v1/brokers`

use axum::extract::State;

use crate::brokers::{BrokerStates, Brokers};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

/// See how the brokers are
///
/// Each message broker that the feed goes to, or that brings what devices report, as set up: whether it is connected, how far behind it is, and what went
/// wrong. What is sent is described in `/asyncapi.json`.
#[utoipa::path(get, path = "/v1/brokers", tag = "events",
    security(("key" = ["events:read"])),
    responses((status = 200, description = "All brokers that are set up", body = BrokerStates)))]
pub(super) async fn list_brokers(State(brokers): State<Brokers>) -> Result<Reply, Problem> {
    Ok(Reply::ok(&brokers.states().await?))
}
