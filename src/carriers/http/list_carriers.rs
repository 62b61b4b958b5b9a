//! `GET /v1/carriers`

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::carriers::Carriers;
use crate::carriers::directory::Carrier;
use crate::platform::reply::Reply;

/// The carriers that are known
#[derive(Serialize, ToSchema)]
pub(super) struct CarrierList {
    items: Vec<Carrier>,
}

/// List carriers
///
/// Those whose tracking numbers lead to a page of theirs: the operator's own (`carriers.templates`) first. A shipment may
/// name any other as well.
#[utoipa::path(get, path = "/v1/carriers", tag = "carriers",
    security(("key" = ["orders:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    responses((status = 200, description = "All of them", body = CarrierList)))]
pub(super) async fn list_carriers(State(carriers): State<Carriers>) -> Reply {
    Reply::ok(&CarrierList { items: carriers.list().to_vec() })
}
