//! The book: the locked products of one transaction, in memory. Every change of stock is decided
//! and made here, purely; `repo::book` reads it under lock and writes back what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;

use super::level::Level;
use super::place::{NewMovement, Place};
use super::sourcing::{Demand, Part, Sourced, Supply, source};
use super::state::{Policy, StockState, state};
use crate::platform::clock::Timestamp;
use crate::platform::quantity::MAX_ON_HAND;
use crate::warehouses::{Directory, Location, Scope};

/// A product under lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    pub policy: Policy,
    /// Units that live holds promise beyond stock
    pub held_beyond: i64,
    /// Units that orders wait for
    pub ordered_beyond: i64,
    pub levels: BTreeMap<String, Level>,
    /// Where the database has the row of each level, for who writes it back
    pub rows: BTreeMap<String, String>,
}

impl Item {
    fn beyond(&self) -> i64 {
        self.held_beyond + self.ordered_beyond
    }
}

/// Why stock could not be moved as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{available} of {sku} can be taken from {warehouse}, {wanted} were asked for")]
    Short { sku: String, warehouse: String, wanted: i64, available: i64 },
    #[error("{warehouse} cannot hold that many of {sku}")]
    TooMuch { sku: String, warehouse: String },
}

/// The products of one transaction. Opened with all that the transaction will touch.
#[derive(Clone, Debug)]
pub struct Book {
    /// The database's clock, read after the locks were got
    pub now: Timestamp,
    directory: Arc<Directory>,
    items: BTreeMap<String, Item>,
    opened: BTreeMap<String, Item>,
    movements: Vec<NewMovement>,
}

/// What a level was and is.
pub struct LevelChange<'a> {
    pub sku: &'a str,
    pub warehouse: &'a str,
    /// `None` of a level that is new, as of its row
    pub before: Option<&'a Level>,
    pub row: Option<&'a str>,
    pub after: &'a Level,
}

impl Book {
    pub fn new(now: Timestamp, directory: Arc<Directory>, items: BTreeMap<String, Item>) -> Self {
        Self { now, directory, opened: items.clone(), items, movements: Vec::new() }
    }

    pub fn today(&self) -> NaiveDate {
        self.now.0.date_naive()
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// `None` when there is no such product.
    pub fn item(&self, sku: &str) -> Option<&Item> {
        self.items.get(sku)
    }

    pub fn level(&self, sku: &str, warehouse: &str) -> Level {
        self.item(sku).and_then(|item| item.levels.get(warehouse)).cloned().unwrap_or_default()
    }

    fn item_mut(&mut self, sku: &str) -> &mut Item {
        self.items.get_mut(sku).expect("the book was opened with every product of the transaction")
    }

    fn level_mut(&mut self, sku: &str, warehouse: &str) -> &mut Level {
        let levels = &mut self.item_mut(sku).levels;
        if !levels.contains_key(warehouse) {
            levels.insert(warehouse.to_owned(), Level::default());
        }
        levels.get_mut(warehouse).expect("inserted above")
    }

    /// Moves goods and books the movement; refused when the place has not as much that is free to go.
    pub fn move_stock(&mut self, movement: NewMovement) -> Result<(), Refused> {
        let (sku, wanted) = (movement.sku.as_str(), movement.quantity);
        if let Place::Warehouse { code, condition } = &movement.from {
            let available = self.level(sku, code).removable(*condition);
            if available < wanted {
                let (sku, warehouse) = (sku.to_owned(), code.clone());
                return Err(Refused::Short { sku, warehouse, wanted, available: available.max(0) });
            }
        }
        if let Place::Warehouse { code, .. } = &movement.to
            && self.level(sku, code).on_hand > MAX_ON_HAND - wanted
        {
            return Err(Refused::TooMuch { sku: sku.to_owned(), warehouse: code.clone() });
        }
        if let Place::Warehouse { code, condition } = &movement.from {
            self.level_mut(sku, code).change(*condition, -wanted);
        }
        if let Place::Warehouse { code, condition } = &movement.to {
            self.level_mut(sku, code).change(*condition, wanted);
        }
        self.movements.push(movement);
        Ok(())
    }

    /// How the demands would be served, buffers and safety stock kept back.
    pub fn source(&self, scope: &Scope, ship_to: &Location, demands: &[Demand]) -> Vec<Sourced> {
        source(scope, ship_to, demands, &self.supply(scope, demands, true))
    }

    /// The same from stock alone: for orders that already wait.
    pub fn source_from_stock(&self, scope: &Scope, demands: &[Demand]) -> Vec<Sourced> {
        source(scope, &Location::default(), demands, &self.supply(scope, demands, false))
    }

    fn supply(&self, scope: &Scope, demands: &[Demand], with_beyond: bool) -> Supply {
        let mut supply = Supply::default();
        let skus: BTreeSet<&str> = demands.iter().map(|demand| demand.sku.as_str()).collect();
        for sku in skus {
            let Some(item) = self.item(sku) else { continue };
            for candidate in &scope.candidates {
                if let Some(level) = item.levels.get(&candidate.code) {
                    let quantity = (level.available() - candidate.buffer).max(0);
                    supply.stock.insert((sku.to_owned(), candidate.code.clone()), quantity);
                }
            }
            if with_beyond {
                let left = item.policy.limit(self.today()) - item.beyond();
                supply.beyond.insert(sku.to_owned(), left.max(0));
            }
        }
        supply
    }

    /// What a scope could sell of a product now.
    pub fn available(&self, scope: &Scope, sku: &str) -> i64 {
        let Some(item) = self.item(sku) else { return 0 };
        let of =
            scope.candidates.iter().filter_map(|c| Some((item.levels.get(&c.code)?.available() - c.buffer).max(0)));
        of.sum()
    }

    pub fn reserve(&mut self, sku: &str, sourced: &Sourced) {
        for Part { warehouse, quantity } in &sourced.parts {
            self.level_mut(sku, warehouse).reserved += quantity;
        }
        self.item_mut(sku).held_beyond += sourced.backordered;
    }

    pub fn unreserve(&mut self, sku: &str, sourced: &Sourced) {
        for Part { warehouse, quantity } in &sourced.parts {
            self.level_mut(sku, warehouse).reserved -= quantity;
        }
        self.item_mut(sku).held_beyond -= sourced.backordered;
    }

    pub fn allocate(&mut self, sku: &str, sourced: &Sourced) {
        for Part { warehouse, quantity } in &sourced.parts {
            self.level_mut(sku, warehouse).allocated += quantity;
        }
        self.item_mut(sku).ordered_beyond += sourced.backordered;
    }

    pub fn deallocate(&mut self, sku: &str, sourced: &Sourced) {
        for Part { warehouse, quantity } in &sourced.parts {
            self.level_mut(sku, warehouse).allocated -= quantity;
        }
        self.item_mut(sku).ordered_beyond -= sourced.backordered;
    }

    /// Stock that arrived serves an order that waited.
    pub fn serve_backorder(&mut self, sku: &str, parts: &[Part]) {
        for Part { warehouse, quantity } in parts {
            self.level_mut(sku, warehouse).allocated += quantity;
            self.item_mut(sku).ordered_beyond -= quantity;
        }
    }

    /// Products for which orders wait and of which there is some.
    pub fn servable(&self) -> Vec<String> {
        self.awaited_where(|_, item| item.levels.values().any(|level| level.available() > 0))
    }

    /// Products for which orders wait and of which some warehouse has more than when the book was opened; or has any,
    /// when more is waited for than then: what was held beyond stock may be ordered when there is stock again.
    pub fn newly_servable(&self) -> Vec<String> {
        self.awaited_where(|opened, item| {
            let waits_anew = item.ordered_beyond > opened.ordered_beyond;
            item.levels.iter().any(|(code, level)| {
                let before = if waits_anew { 0 } else { opened.levels.get(code).map_or(0, Level::available) };
                level.available() > before
            })
        })
    }

    fn awaited_where(&self, holds: impl Fn(&Item, &Item) -> bool) -> Vec<String> {
        let awaited =
            self.items.iter().filter(|(sku, item)| item.ordered_beyond > 0 && holds(&self.opened[*sku], item));
        awaited.map(|(sku, _)| sku.clone()).collect()
    }

    /// Goods are on their way to the warehouse, or (negative) no longer.
    pub fn expect(&mut self, sku: &str, warehouse: &str, by: i64) {
        self.level_mut(sku, warehouse).incoming += by;
    }

    pub fn set_safety_stock(&mut self, sku: &str, warehouse: &str, quantity: i64) {
        self.level_mut(sku, warehouse).safety_stock = quantity;
    }

    pub fn set_reorder_point(&mut self, sku: &str, warehouse: &str, quantity: i64) {
        self.level_mut(sku, warehouse).reorder_point = quantity;
    }

    pub fn set_policy(&mut self, sku: &str, policy: Policy) {
        self.item_mut(sku).policy = policy;
    }

    /// The movements to book; the book forgets them.
    pub fn take_movements(&mut self) -> Vec<NewMovement> {
        std::mem::take(&mut self.movements)
    }

    /// Levels that are not as they were opened.
    pub fn changes(&self) -> Vec<LevelChange<'_>> {
        let mut changes = Vec::new();
        for (sku, item) in &self.items {
            let opened = &self.opened[sku].levels;
            for (warehouse, after) in &item.levels {
                let before = opened.get(warehouse);
                if before != Some(after) {
                    let row = item.rows.get(warehouse).map(String::as_str);
                    changes.push(LevelChange { sku, warehouse, before, row, after });
                }
            }
        }
        changes
    }

    /// Products whose promises beyond stock changed: (sku, held, ordered).
    pub fn changed_counters(&self) -> Vec<(&str, i64, i64)> {
        let counters = |item: &Item| (item.held_beyond, item.ordered_beyond);
        let changed = self.items.iter().filter(|(sku, item)| counters(item) != counters(&self.opened[*sku]));
        changed.map(|(sku, item)| (sku.as_str(), item.held_beyond, item.ordered_beyond)).collect()
    }

    /// Products whose state over all active warehouses changed: (sku, before, after).
    pub fn changed_states(&self) -> Vec<(&str, StockState, StockState)> {
        let states =
            self.items.iter().map(|(sku, item)| (sku.as_str(), self.state_of(&self.opened[sku]), self.state_of(item)));
        states.filter(|(_, before, after)| before != after).collect()
    }

    fn state_of(&self, item: &Item) -> StockState {
        let active = item.levels.iter().filter(|(code, _)| self.directory.is_active(code));
        let (available, reorder) =
            active.fold((0, 0), |(a, r), (_, level)| (a + level.available(), r + level.reorder_point));
        state(&item.policy, available, item.beyond(), reorder, self.today())
    }
}

#[cfg(test)]
mod tests;
