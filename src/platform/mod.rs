//! What every module stands on. No domain words here: nothing in this folder knows what a product is.

pub mod batch;
pub mod clock;
pub mod command;
pub mod db;
pub mod difference;
pub mod edge;
pub mod extract;
pub mod id;
pub mod money;
pub mod page;
pub mod problem;
pub mod quantity;
pub mod reply;
pub mod schema;

use std::sync::Arc;

/// What the extractors of this folder need from a running server; each request carries it.
#[derive(Clone)]
pub struct Platform {
    pub db: db::Db,
    pub schemas: Arc<schema::Schemas>,
}

/// Who makes a request, as `access` found out. The id also separates idempotency keys of different callers.
#[derive(Clone, Debug)]
pub struct Caller {
    pub id: uuid::Uuid,
    pub scopes: Arc<[String]>,
}
