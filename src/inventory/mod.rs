//! Products, their levels and ledger, what is available, and what is promised of it.
//!
//! **Invariant:** a change of stock happens in a [`Book`]: the products are locked in
//! the order of their sku, the change is decided in memory, and levels, ledger and events are written
//! together. Nothing else writes a level.
//!
//! # Lock order
//! Products by sku, then holds, then the caller's own rows (a reservation), then allocations and
//! backorders. An order's row comes before all of these. Warehouses are share-locked before products.

mod backlog;
mod claims;
mod error;
mod events;
mod http;
mod model;
mod observed;
mod products;
mod read;
mod reclaim;
mod repo;
mod self_check;
mod snapshot;
mod stock;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use futures::future::BoxFuture;
use sqlx::PgConnection;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::events::{Event, Events};
use crate::platform::db::{Answers, Asked, Db, Reads, Writes};
use crate::warehouses::{Occupancy, Warehouses};

pub use claims::{Allocate, Committed, Held, HeldBy, HoldRequest, Wish};
pub use error::Error;
pub use http::router;
pub use model::place::Condition;
pub use model::product::{Barcode, Listed, Sku};
pub use model::sourcing::{Demand, Part, Sourced};
pub use model::views::{AdjustmentReason, LevelView, Shortage};
pub use observed::{Observed, ObservedChange, ObservedReason, Recalled, Sighting};
pub use read::Alternatives;
pub use repo::book::Locked;
pub use repo::claims::Claim;
pub use stock::{Disposition, ReturnLine, ShipLine, TransferLine, TransferReceipt};

use model::book::Book;
use repo::book::Line;

#[derive(Clone)]
pub struct Inventory {
    db: Db,
    events: Events,
    warehouses: Warehouses,
    /// Places for those who read a snapshot
    snapshots: Arc<Semaphore>,
    /// The version of the directory under which every order that waits was last looked at
    served_version: Arc<AtomicI64>,
    readers: read::Readers,
}

/// Products that are locked, and what was asked of them.
pub struct ToOpen {
    locked: Vec<Locked>,
    version: Asked<i64>,
    lines: Asked<Line>,
}

/// The book of products that are locked.
pub struct Opened(Book);

type Result<T> = std::result::Result<T, Error>;

impl Inventory {
    pub fn new(db: Db, events: Events, warehouses: Warehouses) -> Self {
        let readers = read::readers(db.clone(), warehouses.clone());
        let snapshots = Arc::new(Semaphore::new(snapshot::AT_ONCE));
        Self { db, events, warehouses, snapshots, served_version: Arc::default(), readers }
    }

    /// Locks these products, in the order of their sku, and reads what is known of them. Holds that have
    /// expired are given up first: swept or not, they never count.
    async fn open(&self, conn: &mut PgConnection, skus: Vec<String>) -> Result<Book> {
        let locked = self.lock(conn, skus).await?;
        let mut reads = Reads::default();
        let to_open = self.ask_to_open(&mut reads, locked);
        let answers = reads.ask_all(conn).await?;
        Ok(self.opened(conn, to_open, &answers).await?.0)
    }

    async fn lock(&self, conn: &mut PgConnection, skus: Vec<String>) -> Result<Vec<Locked>> {
        let mut reads = Reads::default();
        let locked = self.ask_to_lock(&mut reads, skus);
        Ok(reads.ask_all(conn).await?.of(&locked)?)
    }

    /// Asks for the locks of these products, with other questions; those that do not exist are left out.
    pub fn ask_to_lock(&self, reads: &mut Reads, mut skus: Vec<String>) -> Asked<Locked> {
        skus.sort_unstable();
        skus.dedup();
        repo::book::ask_to_lock(reads, &skus)
    }

    /// Asks for what is known of products that are locked, with other questions. It takes a statement after the one that locked
    /// them: who waited must not go by what was true before.
    pub fn ask_to_open(&self, reads: &mut Reads, locked: Vec<Locked>) -> ToOpen {
        let version = self.warehouses.ask_version(reads);
        let lines = repo::book::ask_for_lines(reads, &locked);
        ToOpen { locked, version, lines }
    }

    pub async fn opened(&self, conn: &mut PgConnection, to_open: ToOpen, answers: &Answers) -> Result<Opened> {
        let ToOpen { locked, version, lines } = to_open;
        let directory = self.warehouses.directory_of(conn, answers, &version).await?;
        Ok(Opened(repo::book::book_of(directory, locked, answers.of(&lines)?)))
    }

    /// Serves orders that wait with stock that became free, then writes all that changed, with what is to be written already.
    async fn close(&self, conn: &mut PgConnection, writes: &mut Writes, mut book: Book, actor: Uuid) -> Result<Closed> {
        let served = self.serve_backorders(conn, writes, &mut book).await?;
        repo::book::write_levels(writes, &book);
        repo::book::write_counters(writes, &book);
        let movements = repo::book::write_movements(writes, &book.take_movements(), actor);
        Ok(Closed { movements, changes: events::of_book(&book), served, book })
    }

    /// The same, and publishes all of its news. Gives the movements booked, and the book as it was written.
    async fn close_and_tell(&self, conn: &mut PgConnection, book: Book, actor: Uuid) -> Result<(Vec<Uuid>, Book)> {
        self.close_and_tell_with(conn, Writes::default(), book, actor).await
    }

    /// The same with what is to be written already.
    async fn close_and_tell_with(
        &self,
        conn: &mut PgConnection,
        mut writes: Writes,
        book: Book,
        actor: Uuid,
    ) -> Result<(Vec<Uuid>, Book)> {
        let Closed { movements, changes, served, book } = self.close(conn, &mut writes, book, actor).await?;
        let news: Vec<Event> = changes.into_iter().chain(served).collect();
        Events::publish_with(&mut writes, &news);
        writes.write_out(conn).await?;
        Ok((movements, book))
    }
}

/// What closing a book brought about. Nothing of it is published yet.
struct Closed {
    /// The movements booked, in order
    movements: Vec<Uuid>,
    /// News of the products
    changes: Vec<Event>,
    /// News of orders that waited and were served. An order that is just being placed comes before them
    served: Vec<Event>,
    /// As it was written
    book: Book,
}

impl Closed {
    fn into_news(self) -> Vec<Event> {
        self.changes.into_iter().chain(self.served).collect()
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
            if let Some(sku) = repo::levels::any_awaited(conn, warehouse).await? {
                return Ok(Some(format!("orders wait for stock of this warehouse alone, for instance of {sku}")));
            }
            repo::levels::delete_of_warehouse(conn, warehouse).await?;
            Ok(None)
        })
    }
}

/// What has nobody to name as its author is booked under this actor: the server itself.
pub const SERVER: Uuid = Uuid::nil();
