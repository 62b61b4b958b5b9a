//! The quantities of one product in one warehouse.

use serde::Serialize;
use utoipa::ToSchema;

use super::place::Condition;

/// Quantities are whole numbers of the base unit and never below zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Level {
    /// Physically there
    pub on_hand: i64,
    pub damaged: i64,
    pub quality_control: i64,
    pub quarantined: i64,
    /// Held by live reservations
    pub reserved: i64,
    /// Promised to orders that are not shipped yet
    pub allocated: i64,
    /// On its way here
    pub incoming: i64,
    /// Kept back from sale
    pub safety_stock: i64,
    /// At or under this, stock counts as low
    pub reorder_point: i64,
}

impl Level {
    pub fn unavailable(&self) -> i64 {
        self.damaged + self.quality_control + self.quarantined
    }

    /// What could still be promised or moved: sellable stock that nothing is promised from.
    pub fn uncommitted(&self) -> i64 {
        self.on_hand - self.unavailable() - self.reserved - self.allocated
    }

    /// What is for sale: what could be promised, less what is kept back.
    pub fn available(&self) -> i64 {
        (self.uncommitted() - self.safety_stock).max(0)
    }

    pub fn in_condition(&self, condition: Condition) -> i64 {
        match condition {
            Condition::Good => self.on_hand - self.unavailable(),
            Condition::Damaged => self.damaged,
            Condition::QualityControl => self.quality_control,
            Condition::Quarantined => self.quarantined,
        }
    }

    /// What may be taken out of a condition: of good stock, only what nothing is promised from.
    pub fn removable(&self, condition: Condition) -> i64 {
        match condition {
            Condition::Good => self.uncommitted(),
            other => self.in_condition(other),
        }
    }

    /// Changes the quantity in a condition, and `on_hand` with it.
    pub(super) fn change(&mut self, condition: Condition, by: i64) {
        self.on_hand += by;
        match condition {
            Condition::Good => {}
            Condition::Damaged => self.damaged += by,
            Condition::QualityControl => self.quality_control += by,
            Condition::Quarantined => self.quarantined += by,
        }
    }

    /// Whether it went from above its reorder point to it or below.
    pub fn became_low(&self, before: &Level) -> bool {
        let low = |level: &Level| level.reorder_point > 0 && level.available() <= level.reorder_point;
        low(self) && !low(before)
    }

    /// The rules that the database's CHECKs repeat.
    pub fn is_sound(&self) -> bool {
        let quantities = [
            self.on_hand,
            self.damaged,
            self.quality_control,
            self.quarantined,
            self.reserved,
            self.allocated,
            self.incoming,
            self.safety_stock,
            self.reorder_point,
        ];
        quantities.iter().all(|q| *q >= 0) && self.uncommitted() >= 0
    }
}
