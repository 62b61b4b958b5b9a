//! What every module stands on. No domain words here: nothing in this folder knows what a product is.

pub mod audit;
pub mod batch;
pub mod caller;
pub mod client;
pub mod clock;
pub mod coalesce;
pub mod command;
pub mod db;
pub mod difference;
pub mod edge;
pub mod entity_tag;
pub mod extract;
pub mod gzip;
pub mod headers;
pub mod id;
pub mod intake;
pub mod jobs;
pub mod json;
pub mod limits;
pub mod memory;
pub mod money;
pub mod outbound;
pub mod page;
pub mod patch;
pub mod problem;
pub mod quantity;
pub mod reply;
pub mod schema;
pub mod server;
pub mod sift;
pub mod variables;

use std::sync::Arc;

pub use caller::{Caller, CallerKind};

/// What the extractors of this folder need from a running server; each request carries it.
#[derive(Clone)]
pub struct Platform {
    pub db: db::Db,
    pub schemas: Arc<schema::Schemas>,
}
