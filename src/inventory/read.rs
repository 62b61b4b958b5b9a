//! Reading stock: levels, the ledger, and the explanation of what is available.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use futures::future::FutureExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::explain::{Explanation, LevelExplanation};
use super::model::level::Level;
use super::model::product::Listed;
use super::model::state::state;
use super::model::views::{LevelView, MovementView, StockView};
use super::repo::ledger::Filter;
use super::repo::levels::ProductStock;
use super::{Error, Inventory, Result, repo};
use crate::access::Limit;
use crate::platform::clock::Timestamp;
use crate::platform::coalesce::{Coalescer, Keys, Shape};
use crate::platform::db::{Asked, Db, Reads};
use crate::platform::page::{Page, PageRequest};
use crate::warehouses::{Directory, Scope, Warehouses};

/// Whoever asks for more products than this is read alone.
const MOST_READ_TOGETHER: usize = 20;

/// What those who read together see, at one moment.
pub(super) struct Seen {
    directory: Arc<Directory>,
    today: NaiveDate,
    products: BTreeMap<String, ProductStock>,
}

impl Seen {
    async fn of(conn: &mut PgConnection, warehouses: &Warehouses, skus: &[String]) -> sqlx::Result<Self> {
        let directory = warehouses.directory(conn).await?;
        let (now, products) = repo::levels::read(conn, skus).await?;
        Ok(Self { directory, today: now.0.date_naive(), products })
    }

    /// As [`Self::of`], over a connection for it.
    async fn look_up(db: &Db, warehouses: &Warehouses, skus: &[String]) -> sqlx::Result<Self> {
        let (warehouses, skus) = (warehouses.clone(), skus.to_vec());
        db.look_up(move |conn| {
            let (warehouses, skus) = (warehouses.clone(), skus.clone());
            async move { Self::of(conn, &warehouses, &skus).await }.boxed()
        })
        .await
    }

    fn stock(&self, skus: &[String], channel: Option<&str>, within: &Limit) -> Result<Vec<StockView>> {
        let Self { directory, today, products } = self;
        let scope = channel.map(|code| directory.scope(Some(code)).ok_or_else(|| Error::NoChannel(code.to_owned())));
        let scope = scope.transpose()?;
        let views = skus.iter().filter_map(|sku| {
            let product = products.get(sku)?;
            let mut levels = level_views(directory, scope.as_ref(), product);
            levels.retain(|level| within.allows(&level.warehouse));
            Some(view(directory, levels, sku, product, *today))
        });
        Ok(views.collect())
    }

    /// All zero where there was never any.
    fn level(&self, sku: &str, warehouse: &str) -> Result<LevelView> {
        let missing = || Error::NoLevel { sku: sku.to_owned(), warehouse: warehouse.to_owned() };
        self.directory.warehouse(warehouse).ok_or_else(missing)?;
        let product = self.products.get(sku).ok_or_else(missing)?;
        let levels = level_views(&self.directory, None, product);
        let found = levels.into_iter().find(|level| level.warehouse == warehouse);
        Ok(found.unwrap_or_else(|| LevelView::new(warehouse, &Level::default(), 0, None)))
    }
}

/// Availability read by many at once: one read for all who wait, which begins after the last of them has come.
pub(super) type Readers = Coalescer<Vec<String>, std::result::Result<Arc<Seen>, Arc<sqlx::Error>>>;

const READERS: Shape =
    Shape { lanes: 2, crowd: 0, patience: Duration::from_millis(10), gather: Duration::ZERO, batch: 64, waiting: 2048 };

pub(super) fn readers(db: Db, warehouses: Warehouses) -> Readers {
    Readers::new(
        "availability",
        READERS,
        || async {}.boxed(),
        move |(), asked: Vec<Vec<String>>| {
            let (db, warehouses) = (db.clone(), warehouses.clone());
            Box::pin(async move {
                let skus: BTreeSet<&String> = asked.iter().flatten().collect();
                let skus: Vec<String> = skus.into_iter().cloned().collect();
                let seen = Seen::look_up(&db, &warehouses, &skus).await.map(Arc::new).map_err(Arc::new);
                asked.iter().map(|_| seen.clone()).collect()
            })
        },
    )
}

/// What else there is to serve an order that waits: units that nobody was promised.
#[derive(Clone, Debug, Default)]
pub struct Alternatives {
    /// By warehouse, the most first
    pub warehouses: Vec<(String, i64)>,
    /// By sku, the best first
    pub substitutes: Vec<(String, i64)>,
}

impl Inventory {
    /// The stock of these products: over all warehouses within the limit, or as a channel sees it. An item for each
    /// that exists, as often as it is named. Those who ask for few are read together.
    pub(super) async fn stock(&self, skus: &[String], channel: Option<&str>, within: &Limit) -> Result<Vec<StockView>> {
        if skus.len() > MOST_READ_TOGETHER {
            return self.stock_in(&mut *self.db.conn().await?, skus, channel, within).await;
        }
        self.seen(skus).await?.stock(skus, channel, within)
    }

    /// With others who ask at the same time.
    async fn seen(&self, skus: &[String]) -> Result<Arc<Seen>> {
        match self.readers.run(Keys::default(), skus.to_vec()).await {
            Ok(seen) => Ok(seen?),
            // Too many wait, or a batch was lost: this one reads alone, within the bound on connections.
            Err(_) => Ok(Seen::look_up(&self.db, &self.warehouses, skus).await?.into()),
        }
    }

    async fn stock_in(
        &self,
        conn: &mut PgConnection,
        skus: &[String],
        channel: Option<&str>,
        within: &Limit,
    ) -> Result<Vec<StockView>> {
        Seen::of(conn, &self.warehouses, skus).await?.stock(skus, channel, within)
    }

    /// The level of a product in a warehouse; all zero where there was never any.
    pub(super) async fn level(&self, conn: &mut PgConnection, sku: &str, warehouse: &str) -> Result<LevelView> {
        Seen::of(conn, &self.warehouses, &[sku.to_owned()]).await?.level(sku, warehouse)
    }

    pub(super) async fn get_level(&self, sku: &str, warehouse: &str) -> Result<LevelView> {
        self.seen(&[sku.to_owned()]).await?.level(sku, warehouse)
    }

    /// Keeps everybody else from changing the level until the transaction ends, and reads it.
    pub(super) async fn lock_level_in_tx(
        &self,
        conn: &mut PgConnection,
        sku: &str,
        warehouse: &str,
    ) -> Result<LevelView> {
        self.warehouses.pin_in_tx(conn, &[warehouse]).await?;
        repo::products::lock(conn, sku).await?;
        self.level(conn, sku, warehouse).await
    }

    pub(super) async fn movements(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<MovementView>> {
        let mut conn = self.db.conn().await?;
        let rows = repo::ledger::list(&mut conn, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    /// Why `available` is what it is.
    pub(super) async fn explain(&self, sku: &str, channel: Option<&str>) -> Result<Explanation> {
        // In one moment, so that the records add up to the sum.
        let mut conn = self.db.snapshot().await?;
        let stock = self.stock_in(&mut conn, &[sku.to_owned()], channel, &Limit::default()).await?.pop();
        let stock = stock.ok_or_else(|| Error::NoProduct(sku.to_owned()))?;
        let directory = self.warehouses.directory(&mut conn).await?;
        let buffers: BTreeMap<String, i64> = directory
            .scope(channel)
            .map(|scope| scope.candidates.into_iter().map(|c| (c.code, c.buffer)).collect())
            .unwrap_or_default();
        let levels = stock.warehouses.iter().map(|level| {
            let buffer = if channel.is_some() { buffers.get(&level.warehouse).copied().unwrap_or(0) } else { 0 };
            LevelExplanation::new(level, buffer, directory.is_active(&level.warehouse))
        });
        let levels = levels.collect();
        let holds = repo::explain::holds(&mut conn, sku).await?;
        let allocations = repo::explain::allocations(&mut conn, sku).await?;
        let backorders = repo::explain::backorders(&mut conn, sku).await?;
        Ok(Explanation::new(stock, levels, holds, allocations, backorders))
    }

    /// What these products are sold for, and from when, as far as they exist.
    pub async fn listed(&self, conn: &mut PgConnection, skus: &[String]) -> Result<HashMap<String, Listed>> {
        let mut reads = Reads::default();
        let listed = self.ask_for_listed(&mut reads, skus);
        Ok(reads.ask_all(conn).await?.of(&listed)?.into_iter().collect())
    }

    /// Asks for the same, with other questions.
    pub fn ask_for_listed(&self, reads: &mut Reads, skus: &[String]) -> Asked<(String, Listed)> {
        repo::products::ask_for_listed(reads, skus)
    }

    /// What these products are called, as far as they exist.
    pub async fn names(&self, conn: &mut PgConnection, skus: &[String]) -> sqlx::Result<HashMap<String, String>> {
        repo::products::names(conn, skus).await
    }

    /// Keeps a product from being deleted until the transaction ends. Says whether it is there.
    pub async fn pin_product_in_tx(&self, conn: &mut PgConnection, sku: &str) -> Result<bool> {
        Ok(!repo::products::pin(conn, &[sku]).await?.is_empty())
    }

    /// The name of a product, and how much of it can be sold: over all warehouses, or as a channel sees it. None where there
    /// is no such product.
    pub async fn for_sale(
        &self,
        conn: &mut PgConnection,
        sku: &str,
        channel: Option<&str>,
    ) -> Result<Option<(String, i64)>> {
        let Some(product) = repo::products::find(conn, &[sku]).await?.pop() else { return Ok(None) };
        let stock = self.stock_in(conn, &[sku.to_owned()], channel, &Limit::default()).await?.pop();
        Ok(stock.map(|stock| (product.fields.name, stock.available)))
    }

    /// Where there is some of these products, and what there is in their place; of each that exists, by sku.
    pub async fn alternatives(
        &self,
        conn: &mut PgConnection,
        skus: &[String],
    ) -> Result<HashMap<String, Alternatives>> {
        if skus.is_empty() {
            return Ok(HashMap::new());
        }
        let directory = self.warehouses.directory(conn).await?;
        let mut substitutes: HashMap<String, Vec<String>> =
            repo::products::substitutes(conn, skus).await?.into_iter().collect();
        let all = substitutes.values().flatten().chain(skus).collect::<BTreeSet<&String>>();
        let (_, products) = repo::levels::read(conn, &all.into_iter().cloned().collect::<Vec<_>>()).await?;
        let there = |sku: &String| -> Vec<(String, i64)> {
            let levels = products.get(sku).into_iter().flat_map(|product| &product.levels);
            let active = levels.filter(|(warehouse, _)| directory.is_active(warehouse));
            let some = active.map(|(warehouse, (level, _))| (warehouse.clone(), level.available()));
            let mut some: Vec<(String, i64)> = some.filter(|(_, available)| *available > 0).collect();
            some.sort_by_key(|(_, available)| std::cmp::Reverse(*available));
            some
        };
        let of = |sku: &String, others: Vec<String>| {
            let others = others.into_iter().map(|other| {
                let available = there(&other).iter().map(|(_, available)| available).sum();
                (other, available)
            });
            let substitutes = others.filter(|(_, available)| *available > 0).collect();
            Alternatives { warehouses: there(sku), substitutes }
        };
        let known = skus.iter().filter(|sku| products.contains_key(*sku));
        Ok(known.map(|sku| (sku.clone(), of(sku, substitutes.remove(sku).unwrap_or_default()))).collect())
    }

    /// Those of the products that do not exist.
    pub async fn unknown_skus(&self, conn: &mut PgConnection, skus: &[String]) -> Result<Vec<String>> {
        let known = repo::products::existing(conn, skus).await?;
        Ok(skus.iter().filter(|sku| !known.contains(sku)).cloned().collect())
    }
}

fn view(
    directory: &Directory,
    levels: Vec<LevelView>,
    sku: &str,
    product: &ProductStock,
    today: NaiveDate,
) -> StockView {
    let available = levels.iter().map(|level| level.available).sum();
    // Of what can be sold from, as in the news of it.
    let active = levels.iter().filter(|level| directory.is_active(&level.warehouse));
    let reorder_point = active.map(|level| level.reorder_point).sum();
    let state = state(&product.policy, available, product.beyond, reorder_point, today);
    StockView::sum(sku.to_owned(), state, product.beyond, levels)
}

/// The product's levels: all of them, or those of the warehouses in scope, their buffers taken off.
fn level_views(directory: &Directory, scope: Option<&Scope>, product: &ProductStock) -> Vec<LevelView> {
    let levels = product.levels.iter().filter_map(|(warehouse, (level, next_expiry_at))| {
        let buffer = match scope {
            None => 0,
            Some(scope) => scope.candidates.iter().find(|candidate| candidate.code == *warehouse)?.buffer,
        };
        Some(level_view(directory, warehouse, level, buffer, *next_expiry_at))
    });
    levels.collect()
}

/// A level, a buffer taken off.
pub(super) fn level_view(
    directory: &Directory,
    warehouse: &str,
    level: &Level,
    buffer: i64,
    next_expiry_at: Option<Timestamp>,
) -> LevelView {
    let sellable = directory.is_active(warehouse);
    let available = if sellable { (level.available() - buffer).max(0) } else { 0 };
    LevelView::new(warehouse, level, available, next_expiry_at)
}
