//! Places that hold stock, places that sell, and the rules that pick between them.
//!
//! Other modules see them through the [`Directory`]: all warehouses, channels and rules at one
//! version, read once per transaction.

mod error;
mod events;
mod http;
mod model;
mod repo;

use std::sync::{Arc, RwLock};

use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::events::Events;
use crate::platform::db::{Answers, Asked, Db, Reads};
use crate::platform::page::{Page, PageRequest, TextKey};

pub use error::Error;
pub use http::router;
pub use model::{
    Address, Candidate, Channel, ChannelWarehouse, Code, Directory, Location, NewChannel, NewWarehouse, Rule, Scope,
    Sourcing, Warehouse,
};

/// What stands above this module and may depend on a warehouse: asked before one is deleted. It may
/// drop what it keeps of an empty warehouse; `Some` says what is still there.
pub trait Occupancy: Send + Sync {
    fn vacate<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        warehouse: &'a str,
    ) -> BoxFuture<'a, sqlx::Result<Option<String>>>;
}

#[derive(Clone)]
pub struct Warehouses {
    db: Db,
    directory: Arc<RwLock<Option<Arc<Directory>>>>,
}

use events::Gone;
use model::DEFAULT_TIME_ZONE;

type Result<T> = std::result::Result<T, Error>;

impl Warehouses {
    pub fn new(db: Db) -> Self {
        Self { db, directory: Arc::default() }
    }

    /// Everything there is, as of now. Kept in memory under a version that is compared each time, so
    /// it costs one small look-up and is never stale.
    pub async fn directory(&self, conn: &mut PgConnection) -> sqlx::Result<Arc<Directory>> {
        let mut reads = Reads::default();
        let version = self.ask_version(&mut reads);
        let answers = reads.ask_all(conn).await?;
        self.directory_of(conn, &answers, &version).await
    }

    /// Asks for the directory's version, with other questions. The directory is that of the same moment or a later one.
    pub fn ask_version(&self, reads: &mut Reads) -> Asked<i64> {
        repo::ask_version(reads)
    }

    /// The directory, once its version is known.
    pub async fn directory_of(
        &self,
        conn: &mut PgConnection,
        answers: &Answers,
        version: &Asked<i64>,
    ) -> sqlx::Result<Arc<Directory>> {
        let version = answers.of(version)?.pop().ok_or(sqlx::Error::RowNotFound)?;
        let kept = self.directory.read().expect("never poisoned").clone();
        if let Some(kept) = kept.filter(|kept| kept.version == version) {
            return Ok(kept);
        }
        let read = Arc::new(repo::read_directory(conn).await?);
        // A version that is not committed yet may be rolled back, and then given to another change.
        if read.version == version && !repo::writes(conn).await? {
            *self.directory.write().expect("never poisoned") = Some(read.clone());
        }
        Ok(read)
    }

    /// Keeps these warehouses from being deleted until the transaction ends. Whoever brings stock into
    /// a warehouse calls it first; gives back those that do not exist.
    pub async fn pin_in_tx(&self, conn: &mut PgConnection, codes: &[&str]) -> sqlx::Result<Vec<String>> {
        let found = repo::pin(conn, codes).await?;
        Ok(codes.iter().filter(|code| !found.iter().any(|f| f == **code)).map(|code| (*code).to_owned()).collect())
    }

    async fn list(
        &self,
        page: PageRequest<TextKey>,
        active: Option<bool>,
        among: Option<Vec<String>>,
    ) -> Result<Page<Warehouse>> {
        let mut conn = self.db.conn().await?;
        let after = page.after.as_ref().map(|key| key.0.as_str());
        let rows = repo::list_warehouses(&mut conn, after, page.fetch(), active, among.as_deref()).await?;
        Ok(page.page(rows, |row| TextKey(row.fields.code.0.clone())))
    }

    async fn get(&self, code: &str) -> Result<Warehouse> {
        self.get_in_tx(&mut *self.db.conn().await?, code).await
    }

    async fn get_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<Warehouse> {
        repo::find_warehouse(conn, code).await?.ok_or_else(|| Error::NoWarehouse(code.to_owned()))
    }

    async fn create_in_tx(&self, conn: &mut PgConnection, new: &NewWarehouse) -> Result<Warehouse> {
        self.check_warehouse(conn, new).await?;
        if !repo::insert_warehouse(conn, new).await? {
            return Err(Error::WarehouseExists(new.code.0.clone()));
        }
        let warehouse = self.get_in_tx(conn, &new.code.0).await?;
        self.changed(conn, "warehouse.created", warehouse).await
    }

    async fn lock_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<Warehouse> {
        repo::lock_warehouse(conn, code).await?;
        self.get_in_tx(conn, code).await
    }

    async fn update_in_tx(&self, conn: &mut PgConnection, code: &str, fields: &NewWarehouse) -> Result<Warehouse> {
        if fields.code.0 != code {
            return Err(Error::CodeIsFixed);
        }
        self.check_warehouse(conn, fields).await?;
        repo::update_warehouse(conn, fields).await?;
        let warehouse = self.get_in_tx(conn, code).await?;
        self.changed(conn, "warehouse.updated", warehouse).await
    }

    async fn delete_in_tx(&self, conn: &mut PgConnection, code: &str, occupancy: &dyn Occupancy) -> Result<()> {
        let linked = repo::channels_of(conn, code).await?;
        if !linked.is_empty() {
            let detail = format!("the channels {} are served from it: unlink it there first", linked.join(", "));
            return Err(Error::InUse(detail));
        }
        if let Some(detail) = occupancy.vacate(conn, code).await? {
            return Err(Error::InUse(detail));
        }
        repo::delete_warehouse(conn, code).await?;
        self.changed(conn, "warehouse.deleted", Gone { code: code.to_owned() }).await?;
        Ok(())
    }

    async fn list_channels(
        &self,
        page: PageRequest<TextKey>,
        active: Option<bool>,
        among: Option<Vec<String>>,
    ) -> Result<Page<Channel>> {
        let mut conn = self.db.conn().await?;
        let after = page.after.as_ref().map(|key| key.0.as_str());
        let rows = repo::list_channels(&mut conn, after, page.fetch(), active, among.as_deref()).await?;
        Ok(page.page(rows, |row| TextKey(row.fields.code.0.clone())))
    }

    async fn get_channel(&self, code: &str) -> Result<Channel> {
        self.get_channel_in_tx(&mut *self.db.conn().await?, code).await
    }

    async fn get_channel_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<Channel> {
        repo::find_channel(conn, code).await?.ok_or_else(|| Error::NoChannel(code.to_owned()))
    }

    async fn create_channel_in_tx(&self, conn: &mut PgConnection, new: &NewChannel) -> Result<Channel> {
        self.check_channel(conn, new).await?;
        if !repo::insert_channel(conn, new).await? {
            return Err(Error::ChannelExists(new.code.0.clone()));
        }
        repo::replace_links(conn, new).await?;
        let channel = self.get_channel_in_tx(conn, &new.code.0).await?;
        self.changed(conn, "channel.created", channel).await
    }

    async fn lock_channel_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<Channel> {
        repo::lock_channel(conn, code).await?;
        self.get_channel_in_tx(conn, code).await
    }

    async fn update_channel_in_tx(&self, conn: &mut PgConnection, code: &str, fields: &NewChannel) -> Result<Channel> {
        if fields.code.0 != code {
            return Err(Error::CodeIsFixed);
        }
        self.check_channel(conn, fields).await?;
        repo::update_channel(conn, fields).await?;
        repo::replace_links(conn, fields).await?;
        let channel = self.get_channel_in_tx(conn, code).await?;
        self.changed(conn, "channel.updated", channel).await
    }

    /// Past orders and reservations keep naming the channel; new ones cannot.
    async fn delete_channel_in_tx(&self, conn: &mut PgConnection, code: &str) -> Result<()> {
        repo::delete_channel(conn, code).await?;
        self.changed(conn, "channel.deleted", Gone { code: code.to_owned() }).await?;
        Ok(())
    }

    /// What every change here brings with it: a new version of the directory, and the news.
    async fn changed<T: events::Subject>(&self, conn: &mut PgConnection, kind: &'static str, now: T) -> Result<T> {
        repo::raise_version(conn).await?;
        Events::publish_in_tx(conn, &[events::of(kind, &now)]).await?;
        Ok(now)
    }

    async fn check_warehouse(&self, conn: &mut PgConnection, fields: &NewWarehouse) -> Result<()> {
        let known = fields.time_zone == DEFAULT_TIME_ZONE || repo::is_time_zone(conn, &fields.time_zone).await?;
        fields.validate(known)
    }

    async fn check_channel(&self, conn: &mut PgConnection, fields: &NewChannel) -> Result<()> {
        let codes: Vec<&str> = fields.warehouses.iter().map(|link| link.warehouse.0.as_str()).collect();
        let missing = self.pin_in_tx(conn, &codes).await?;
        fields.validate(&missing)
    }

    async fn rules(&self) -> Result<Sourcing> {
        let directory = self.directory(&mut *self.db.conn().await?).await?;
        Ok(Sourcing { rules: directory.rules.clone() })
    }

    async fn lock_rules_in_tx(&self, conn: &mut PgConnection) -> Result<Sourcing> {
        Ok(Sourcing { rules: repo::lock_rules(conn).await? })
    }

    async fn set_rules_in_tx(&self, conn: &mut PgConnection, sourcing: &Sourcing) -> Result<()> {
        sourcing.validate()?;
        Ok(repo::set_rules(conn, &sourcing.rules).await?)
    }
}
