//! Endpoints of warehouses, channels and sourcing.

mod create_channel;
mod create_warehouse;
mod delete_channel;
mod delete_warehouse;
mod get_channel;
mod get_sourcing;
mod get_warehouse;
mod list_channels;
mod list_warehouses;
mod put_sourcing;
mod update_channel;
mod update_warehouse;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{NewChannel, NewWarehouse, Occupancy, Warehouses};
use crate::platform::patch::Patch;

type WarehousePatch = Patch<NewWarehouse>;
type ChannelPatch = Patch<NewChannel>;

pub fn router(warehouses: Warehouses, occupancy: Arc<dyn Occupancy>) -> OpenApiRouter {
    let delete = OpenApiRouter::new()
        .routes(routes!(delete_warehouse::delete_warehouse))
        .with_state((warehouses.clone(), occupancy));
    OpenApiRouter::new()
        .routes(routes!(list_warehouses::list_warehouses, create_warehouse::create_warehouse))
        .routes(routes!(get_warehouse::get_warehouse, update_warehouse::update_warehouse))
        .routes(routes!(list_channels::list_channels, create_channel::create_channel))
        .routes(routes!(get_channel::get_channel, update_channel::update_channel, delete_channel::delete_channel))
        .routes(routes!(get_sourcing::get_sourcing, put_sourcing::put_sourcing))
        .with_state(warehouses)
        .merge(delete)
}
