//! The explanation of a product's availability: the sum, and every record behind it.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::state::StockState;
use super::views::{LevelView, StockView};
use crate::platform::clock::Timestamp;

/// The most records of a kind that an explanation lists
pub const MAX_LISTED: i64 = 1000;

/// How `available` of one warehouse comes about
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"warehouse": "LONDON", "active": true, "available": 12, "steps": [
    {"what": "on_hand", "quantity": 20}, {"what": "unavailable", "quantity": -1}, {"what": "reserved", "quantity": -2},
    {"what": "allocated", "quantity": -3}, {"what": "safety_stock", "quantity": 0}, {"what": "channel_buffer", "quantity": -2}
]}))]
pub struct LevelExplanation {
    pub warehouse: String,
    pub active: bool,
    /// The sum of the steps, never below zero; 0 while the warehouse is inactive
    pub available: i64,
    pub steps: Vec<Step>,
}

/// A quantity that is added or (negative) taken off
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"what": "reserved", "quantity": -2}))]
pub struct Step {
    /// `on_hand`, `unavailable`, `reserved`, `allocated`, `safety_stock`, `channel_buffer`
    pub what: &'static str,
    pub quantity: i64,
}

impl LevelExplanation {
    pub fn new(level: &LevelView, buffer: i64, active: bool) -> Self {
        let step = |what, quantity| Step { what, quantity };
        let steps = vec![
            step("on_hand", level.on_hand),
            step("unavailable", -level.unavailable),
            step("reserved", -level.reserved),
            step("allocated", -level.allocated),
            step("safety_stock", -level.safety_stock),
            step("channel_buffer", -buffer),
        ];
        Self { warehouse: level.warehouse.clone(), active, available: level.available, steps }
    }
}

/// A reservation that holds some
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"reservation_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "warehouse": "LONDON", "quantity": 2, "expires_at": "2026-11-23T09:45:00.000Z"}))]
pub struct HoldView {
    pub reservation_id: Uuid,
    /// Null for what is promised beyond stock
    pub warehouse: Option<String>,
    pub quantity: i64,
    pub expires_at: Timestamp,
}

/// An order that is promised some
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "order_line_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "warehouse": "LONDON", "quantity": 3}))]
pub struct AllocationView {
    pub order_id: Uuid,
    pub order_line_id: Uuid,
    pub warehouse: String,
    pub quantity: i64,
}

/// An order that waits for some
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "order_line_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "quantity": 1, "placed_at": "2026-11-22T18:00:00.000Z"}))]
pub struct BackorderView {
    pub order_id: Uuid,
    pub order_line_id: Uuid,
    pub quantity: i64,
    pub placed_at: Timestamp,
}

/// Why `available` is what it is
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    #[schema(example = "TEA-1")]
    pub sku: String,
    pub state: StockState,
    pub available: i64,
    pub warehouses: Vec<LevelExplanation>,
    /// Live holds, the next to expire first; at most 1,000
    pub holds: Vec<HoldView>,
    /// At most 1,000
    pub allocations: Vec<AllocationView>,
    /// In the order in which stock that arrives will serve them; at most 1,000
    pub backorders: Vec<BackorderView>,
}

impl Explanation {
    pub fn new(
        stock: StockView,
        warehouses: Vec<LevelExplanation>,
        holds: Vec<HoldView>,
        allocations: Vec<AllocationView>,
        backorders: Vec<BackorderView>,
    ) -> Self {
        let StockView { sku, state, available, .. } = stock;
        Self { sku, state, available, warehouses, holds, allocations, backorders }
    }
}
