//! Goods between warehouses: `draft → in_transit → received`, or `draft → cancelled`.
//!
//! A draft holds nothing. Shipping takes good, uncommitted stock from the first warehouse, all lines or
//! none, and the second expects it. Receipts bring it in, in one or more parts and conditions; closing
//! writes off what never came.
//!
//! **Invariant:** over all transfers in transit, shipped − received − lost of a product is the ledger's
//! balance of it at `in_transit`. Lines and ledger are written in one transaction under the transfer's row
//! lock, and the self-check compares them.
//!
//! **Invariant:** received + lost never exceed shipped (a CHECK is the last guard), so a product
//! arrives, or is lost, once.
//!
//! # Lock order
//! The transfer's row, then its warehouses (share locks), then inventory's products by sku.

mod error;
mod events;
mod http;
mod model;
mod receipt;
mod repo;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::{Limit, Limits};
use crate::events::Events;
use crate::inventory::Inventory;
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};
use crate::warehouses::Warehouses;

pub use error::Error;
pub use http::router;
pub use model::{NewTransfer, NewTransferLine, Transfer, TransferLineView, TransferStatus};
pub use receipt::{NewReceipt, NewReceiptLine};

use repo::Filter;

/// The door to transfers. Cheap to clone.
#[derive(Clone)]
pub struct Transfers {
    db: Db,
    inventory: Inventory,
    warehouses: Warehouses,
}

type Result<T> = std::result::Result<T, Error>;

impl Transfers {
    pub fn new(db: Db, inventory: Inventory, warehouses: Warehouses) -> Self {
        Self { db, inventory, warehouses }
    }

    /// What is on its way, summed by product and destination: (sku, warehouse it goes to, quantity), in
    /// that order, without zeros. For the self-check; it reads every line in transit.
    pub async fn in_transit(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<(String, String, i64)>> {
        repo::in_transit(conn).await
    }

    /// The newest first.
    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<Transfer>> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list(&mut conn, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    /// One that leaves or reaches a warehouse within the limits; any other is as good as none.
    async fn get(&self, id: Uuid, limits: &Limits) -> Result<Transfer> {
        let found = self.get_in_tx(&mut *self.db.conn().await?, id).await?;
        let touches = [found.from.as_str(), found.to.as_str()];
        if limits.warehouses.reaches(touches) { Ok(found) } else { Err(Error::NoTransfer(id)) }
    }

    async fn get_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Transfer> {
        repo::find(conn, id).await?.ok_or(Error::NoTransfer(id))
    }

    /// Locks the transfer until the transaction ends, and reads it as it is under the lock. `end` is where
    /// the caller works on it: a transfer with that end outside the limit is as good as none.
    async fn lock_in_tx(
        &self,
        conn: &mut PgConnection,
        id: Uuid,
        limit: &Limit,
        end: fn(&Transfer) -> &str,
    ) -> Result<Transfer> {
        repo::lock(conn, id).await?;
        let found = self.get_in_tx(conn, id).await?;
        if limit.allows(end(&found)) { Ok(found) } else { Err(Error::NoTransfer(id)) }
    }

    /// Keeps the warehouses from being deleted before goods are booked into or out of them.
    async fn pin_in_tx(&self, conn: &mut PgConnection, codes: &[&str]) -> Result<()> {
        let missing = self.warehouses.pin_in_tx(conn, codes).await?;
        if missing.is_empty() { Ok(()) } else { Err(Error::WarehouseGone(missing)) }
    }

    /// Makes a draft. Refused with every fault: the same warehouse twice, one that does not exist or is not
    /// active, a product that does not exist or has two lines.
    async fn create_in_tx(&self, conn: &mut PgConnection, new: &NewTransfer) -> Result<Transfer> {
        let skus: Vec<String> = new.lines.iter().map(|line| line.sku.0.clone()).collect();
        let directory = self.warehouses.directory(conn).await?;
        let unknown = self.inventory.unknown_skus(conn, &skus).await?;
        new.validate(&directory, &unknown)?;
        let id = id::new();
        repo::insert(conn, id, new).await?;
        self.get_in_tx(conn, id).await
    }

    /// Sends a locked draft on its way: all lines, or [`Error::Inventory`] (insufficient stock) and none.
    async fn ship_in_tx(&self, conn: &mut PgConnection, draft: &Transfer, actor: Uuid) -> Result<Transfer> {
        let id = draft.id;
        let lines = draft.ship()?;
        self.pin_in_tx(conn, &[draft.from.as_str(), draft.to.as_str()]).await?;
        self.inventory.send_transfer_in_tx(conn, id, &draft.from, &draft.to, &lines, actor).await?;
        repo::ship_lines(conn, id).await?;
        repo::set_status(conn, id, TransferStatus::InTransit).await?;
        let transfer = self.get_in_tx(conn, id).await?;
        Events::publish_in_tx(conn, &[events::shipped(&transfer)]).await?;
        Ok(transfer)
    }

    /// Takes in what arrived of a locked transfer in transit, all of the receipt or none. The transfer is
    /// received once nothing is open.
    async fn receive_in_tx(
        &self,
        conn: &mut PgConnection,
        sent: &Transfer,
        receipt: &NewReceipt,
        actor: Uuid,
    ) -> Result<Transfer> {
        let id = sent.id;
        let arrival = sent.receive(receipt)?;
        self.pin_in_tx(conn, &[sent.to.as_str()]).await?;
        self.inventory.receive_transfer_in_tx(conn, id, &sent.to, &arrival.receipts(), actor).await?;
        repo::receive_lines(conn, id, &arrival.lines).await?;
        repo::set_status(conn, id, arrival.status()).await?;
        let transfer = self.get_in_tx(conn, id).await?;
        Events::publish_in_tx(conn, &[events::received(&transfer, &arrival)]).await?;
        Ok(transfer)
    }

    /// Gives up a locked draft. It held nothing, so there is nothing to give back and nothing to publish.
    async fn cancel_in_tx(&self, conn: &mut PgConnection, draft: &Transfer) -> Result<Transfer> {
        draft.check_cancel()?;
        repo::set_status(conn, draft.id, TransferStatus::Cancelled).await?;
        self.get_in_tx(conn, draft.id).await
    }
}
