//! Endpoints of transfers.

mod cancel_transfer;
mod create_transfer;
mod get_transfer;
mod list_transfers;
mod receive_transfer;
mod ship_transfer;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Transfers;

/// All routes below `/v1/transfers`, with their documentation.
pub fn router(transfers: Transfers) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_transfers::list_transfers, create_transfer::create_transfer))
        .routes(routes!(get_transfer::get_transfer))
        .routes(routes!(ship_transfer::ship_transfer))
        .routes(routes!(receive_transfer::receive_transfer))
        .routes(routes!(cancel_transfer::cancel_transfer))
        .with_state(transfers)
}
