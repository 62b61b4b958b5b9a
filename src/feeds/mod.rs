//! Stock that other systems report: warehouse systems, tills and scales, with times and numbers of their own.
//!
//! A report is a `count` (so many were there) or a `change` (so many came or went). It is held against the books as they
//! were when it was seen, and what is booked is a movement at that time; `model::decide` has the rules.
//!
//! **Invariant:** a report is taken once. Its number is looked up and taken under a lock of its device, in the
//! transaction that books it; what is too old to be known for a repetition is refused for its age.
//!
//! **Invariant:** each difference between a count and the books is a discrepancy: with the movement that booked it, and
//! with what could not be booked, which is open until a newer count, or the change when it is sent again, settles it.
//!
//! # Lock order
//! Devices (advisory, sorted), the source's row (shared), then inventory's: warehouses, products by sku. Last counts
//! are read and written under the locks of the products.

mod desk;
mod error;
mod events;
mod http;
mod message;
mod model;
mod repo;
mod take;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::inventory::Inventory;
use crate::platform::db::Db;
use crate::platform::page::{Page, PageRequest, TextKey};
use crate::platform::problem::Fault;
use crate::warehouses::Warehouses;

pub use error::Error;
pub use http::router;
pub use message::{Answer, Message};
pub use model::discrepancy::Discrepancy;
pub use model::report::{NewReport, Outcome, Reported};
pub use model::source::{NewSource, Source};

use model::discrepancy::Filter;
use model::source::check_code;

/// The door to feeds. Cheap to clone.
#[derive(Clone)]
pub struct Feeds {
    db: Db,
    inventory: Inventory,
    warehouses: Warehouses,
}

type Result<T> = std::result::Result<T, Error>;

impl Feeds {
    pub fn new(db: Db, inventory: Inventory, warehouses: Warehouses) -> Self {
        Self { db, inventory, warehouses }
    }

    /// Forgets reports whose repetition would be refused for its age. Returns whether there may be more.
    pub async fn forget_old(&self) -> sqlx::Result<bool> {
        let limit = 5000;
        let forgotten = repo::reports::forget_old(&mut *self.db.conn().await?, limit).await?;
        Ok(forgotten == limit.unsigned_abs())
    }

    async fn list(&self, page: PageRequest<TextKey>) -> Result<Page<Source>> {
        let mut conn = self.db.conn().await?;
        let after = page.after.as_ref().map(|key| key.0.as_str());
        let rows = repo::sources::list(&mut conn, after, page.fetch()).await?;
        Ok(page.page(rows, |row| TextKey(row.code.clone())))
    }

    async fn get(&self, code: &str) -> Result<Source> {
        let found = repo::sources::find(&mut *self.db.conn().await?, code).await?;
        found.ok_or_else(|| Error::NoSource(code.to_owned()))
    }

    /// Locks the source until the transaction ends, and reads it as it is under the lock.
    async fn lock_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<Option<Source>> {
        repo::sources::lock(conn, code).await?;
        Ok(repo::sources::find(conn, code).await?)
    }

    /// Makes the source, or changes it.
    async fn put_in_tx(&self, conn: &mut PgConnection, code: &str, fields: &NewSource) -> Result<Source> {
        check_code(code)?;
        if let Some(warehouse) = &fields.warehouse
            && self.warehouses.directory(conn).await?.warehouse(&warehouse.0).is_none()
        {
            let detail = format!("there is no warehouse {}", warehouse.0);
            return Err(Error::Invalid(vec![Fault::new("/warehouse", "unknown", detail)]));
        }
        repo::sources::put(conn, code, fields).await?;
        repo::sources::find(conn, code).await?.ok_or_else(|| Error::NoSource(code.to_owned()))
    }

    /// What it reported stays known.
    async fn delete_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<()> {
        Ok(repo::sources::delete(conn, code).await?)
    }

    /// The newest first.
    async fn discrepancies(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<Discrepancy>> {
        let mut conn = self.db.conn().await?;
        if repo::sources::find(&mut conn, &filter.source).await?.is_none() {
            return Err(Error::NoSource(filter.source.clone()));
        }
        let rows = repo::discrepancies::list(&mut conn, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }
}
