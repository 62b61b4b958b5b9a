//! Reading stock: levels, the ledger, and the explanation of what is available.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::explain::{Explanation, LevelExplanation};
use super::model::state::state;
use super::model::views::{LevelView, MovementView, StockView};
use super::repo::ledger::Filter;
use super::repo::levels::ProductStock;
use super::{Error, Inventory, Result, repo};
use crate::platform::money::Money;
use crate::platform::page::{Page, PageRequest};
use crate::warehouses::{Directory, Scope};

impl Inventory {
    /// The stock of these products: over all warehouses, or as a channel sees it. An item for each that exists, as often as it is named.
    pub(super) async fn stock(&self, skus: &[String], channel: Option<&str>) -> Result<Vec<StockView>> {
        self.stock_in(&mut *self.db.conn().await?, skus, channel).await
    }

    async fn stock_in(
        &self,
        conn: &mut PgConnection,
        skus: &[String],
        channel: Option<&str>,
    ) -> Result<Vec<StockView>> {
        let directory = self.warehouses.directory(conn).await?;
        let scope = channel.map(|code| directory.scope(Some(code)).ok_or_else(|| Error::NoChannel(code.to_owned())));
        let scope = scope.transpose()?;
        let (now, products) = repo::levels::read(conn, skus).await?;
        let today = now.0.date_naive();
        let views = skus.iter().filter_map(|sku| {
            let product = products.get(sku)?;
            Some(view(&directory, scope.as_ref(), sku, product, today))
        });
        Ok(views.collect())
    }

    /// The levels of these (product, warehouse) pairs, as seen without a channel.
    pub(super) async fn level_views(
        &self,
        conn: &mut PgConnection,
        pairs: &[(&str, &str)],
    ) -> Result<HashMap<(String, String), LevelView>> {
        let directory = self.warehouses.directory(conn).await?;
        let mut skus: Vec<String> = pairs.iter().map(|(sku, _)| (*sku).to_owned()).collect();
        skus.sort_unstable();
        skus.dedup();
        let (_, products) = repo::levels::read(conn, &skus).await?;
        let mut views = HashMap::new();
        for (sku, product) in products {
            for level in level_views(&directory, None, &product) {
                views.insert((sku.clone(), level.warehouse.clone()), level);
            }
        }
        Ok(views)
    }

    /// The level of a product in a warehouse; all zero where there was never any.
    pub(super) async fn level(&self, conn: &mut PgConnection, sku: &str, warehouse: &str) -> Result<LevelView> {
        let directory = self.warehouses.directory(conn).await?;
        let missing = || Error::NoLevel { sku: sku.to_owned(), warehouse: warehouse.to_owned() };
        directory.warehouse(warehouse).ok_or_else(missing)?;
        let (_, products) = repo::levels::read(conn, &[sku.to_owned()]).await?;
        let product = products.get(sku).ok_or_else(missing)?;
        let found = level_views(&directory, None, product).into_iter().find(|level| level.warehouse == warehouse);
        Ok(found.unwrap_or_else(|| LevelView::new(warehouse, &super::model::level::Level::default(), 0, None)))
    }

    pub(super) async fn get_level(&self, sku: &str, warehouse: &str) -> Result<LevelView> {
        self.level(&mut *self.db.conn().await?, sku, warehouse).await
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
        let stock = self.stock_in(&mut conn, &[sku.to_owned()], channel).await?.pop();
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

    /// The prices of these products, where they have one.
    pub async fn prices(&self, conn: &mut PgConnection, skus: &[String]) -> Result<HashMap<String, Money>> {
        Ok(repo::products::prices(conn, skus).await?)
    }

    /// Those of the products that do not exist.
    pub async fn unknown_skus(&self, conn: &mut PgConnection, skus: &[String]) -> Result<Vec<String>> {
        let known = repo::products::existing(conn, skus).await?;
        Ok(skus.iter().filter(|sku| !known.contains(sku)).cloned().collect())
    }
}

fn view(
    directory: &Directory,
    scope: Option<&Scope>,
    sku: &str,
    product: &ProductStock,
    today: NaiveDate,
) -> StockView {
    let levels = level_views(directory, scope, product);
    let available = levels.iter().map(|level| level.available).sum();
    let reorder_point = levels.iter().map(|level| level.reorder_point).sum();
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
        let sellable = directory.is_active(warehouse);
        let available = if sellable { (level.available() - buffer).max(0) } else { 0 };
        Some(LevelView::new(warehouse, level, available, *next_expiry_at))
    });
    levels.collect()
}
