//! Products, their levels and ledger, what is available, and what is promised of it.
//!
//! **Invariant:** a change of stock happens in a [`Book`]: the products are locked in
//! the order of their sku, the change is decided in memory, and levels, ledger and events are written
//! together. Nothing else writes a level.
//!
//! # Lock order
//! Products by sku, then holds, then the caller's own rows (a reservation), then allocations and
//! backorders. An order's row comes before all of these. Warehouses are share-locked before products.

mod claims;
mod error;
mod events;
mod http;
mod model;
mod products;
mod read;
mod repo;
mod self_check;
mod stock;

use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::events::Events;
use crate::platform::db::Db;
use crate::warehouses::{Occupancy, Warehouses};

pub use claims::{Allocate, Held, HoldRequest};
pub use error::Error;
pub use http::router;
pub use model::place::Condition;
pub use model::product::Sku;
pub use model::sourcing::{Demand, Part, Sourced};
pub use model::views::{LevelView, Shortage};
pub use repo::claims::Claim;
pub use stock::{Disposition, ReturnLine, ShipLine, TransferLine, TransferReceipt};

use model::book::Book;

#[derive(Clone)]
pub struct Inventory {
    db: Db,
    warehouses: Warehouses,
}

type Result<T> = std::result::Result<T, Error>;

impl Inventory {
    pub fn new(db: Db, warehouses: Warehouses) -> Self {
        Self { db, warehouses }
    }

    /// Locks these products, in the order of their sku, and reads what is known of them.
    async fn open(&self, conn: &mut PgConnection, mut skus: Vec<String>) -> Result<Book> {
        skus.sort_unstable();
        skus.dedup();
        let directory = self.warehouses.directory(conn).await?;
        Ok(repo::book::open(conn, directory, &skus).await?)
    }

    /// Serves orders that wait with stock that became free, then writes all that changed. Returns the
    /// ids of the movements booked, in order.
    async fn close(&self, conn: &mut PgConnection, mut book: Book, actor: Uuid) -> Result<Vec<Uuid>> {
        let mut events = self.serve_backorders(conn, &mut book).await?;
        repo::book::write_levels(conn, &book).await?;
        repo::book::write_counters(conn, &book).await?;
        let movements = repo::book::write_movements(conn, &book.take_movements(), actor).await?;
        events.extend(events::of_book(&book));
        Events::publish_in_tx(conn, &events).await?;
        Ok(movements)
    }
}

/// A warehouse may go when it has nothing and expects nothing.
impl Occupancy for Inventory {
    fn vacate<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        warehouse: &'a str,
    ) -> BoxFuture<'a, sqlx::Result<Option<String>>> {
        Box::pin(async move {
            if let Some(sku) = repo::levels::any_used(conn, warehouse).await? {
                return Ok(Some(format!("it still holds or expects stock, for instance of {sku}")));
            }
            repo::levels::delete_of_warehouse(conn, warehouse).await?;
            Ok(None)
        })
    }
}

/// What has nobody to name as its author is booked under this actor: the server itself.
pub const SERVER: Uuid = Uuid::nil();
