//! The state of a product, derived and never stored.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a shopper should be told
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StockState {
    InStock,
    /// Available, but at or under the reorder point
    LowStock,
    /// Not released yet; can be ordered for the release date
    PreOrder,
    /// Nothing available; can be ordered and will follow
    Backorder,
    OutOfStock,
    /// Nothing available, and there will be no more
    Discontinued,
}

/// How a product may be sold beyond what is in stock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub backorder_limit: i64,
    /// Release date and the most units sold before it
    pub preorder: Option<(NaiveDate, i64)>,
    pub discontinued: bool,
}

impl Policy {
    fn is_unreleased(&self, today: NaiveDate) -> bool {
        self.preorder.is_some_and(|(release, _)| today < release)
    }

    /// Units that may be promised beyond stock in all. A pre-order is a backorder with a promised
    /// date: one limit caps both, the pre-order's until the release.
    pub fn limit(&self, today: NaiveDate) -> i64 {
        match self.preorder {
            _ if self.discontinued => 0,
            Some((_, limit)) if self.is_unreleased(today) => limit,
            _ => self.backorder_limit,
        }
    }
}

/// The state of a product of which `available` units are for sale and `beyond` are promised beyond stock.
pub fn state(policy: &Policy, available: i64, beyond: i64, reorder_point: i64, today: NaiveDate) -> StockState {
    let limit_left = policy.limit(today) > beyond;
    if policy.is_unreleased(today) && !policy.discontinued && (available > 0 || limit_left) {
        StockState::PreOrder
    } else if available > 0 && reorder_point > 0 && available <= reorder_point {
        StockState::LowStock
    } else if available > 0 {
        StockState::InStock
    } else if policy.discontinued {
        StockState::Discontinued
    } else if limit_left {
        StockState::Backorder
    } else {
        StockState::OutOfStock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        let day = |d| NaiveDate::from_ymd_opt(2026, 12, d).expect("a day in December");
        let plain = Policy::default();
        let backorder = Policy { backorder_limit: 5, ..Policy::default() };
        let preorder = Policy { preorder: Some((day(10), 3)), ..backorder.clone() };
        let gone = Policy { discontinued: true, ..backorder.clone() };
        for (policy, available, beyond, reorder, today, expected) in [
            (&plain, 9, 0, 0, 1, StockState::InStock),
            (&plain, 9, 0, 9, 1, StockState::LowStock),
            (&plain, 0, 0, 9, 1, StockState::OutOfStock),
            (&backorder, 0, 4, 0, 1, StockState::Backorder),
            (&backorder, 0, 5, 0, 1, StockState::OutOfStock),
            (&preorder, 0, 2, 0, 9, StockState::PreOrder),
            (&preorder, 0, 3, 0, 9, StockState::OutOfStock),
            (&preorder, 0, 3, 0, 10, StockState::Backorder),
            (&gone, 1, 0, 0, 1, StockState::InStock),
            (&gone, 0, 0, 0, 1, StockState::Discontinued),
        ] {
            assert_eq!(
                state(policy, available, beyond, reorder, day(today)),
                expected,
                "{policy:?} {available} {beyond}"
            );
        }
    }
}
