//! How stock looks from outside.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::level::Level;
use super::place::{Condition, Place};
use super::product::Sku;
use super::state::StockState;
use crate::platform::clock::Timestamp;

/// Unavailable stock by its cause
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"damaged": 1, "quality_control": 0, "quarantined": 0}))]
pub struct UnavailableBy {
    pub damaged: i64,
    pub quality_control: i64,
    pub quarantined: i64,
}

/// The quantities of a product in one warehouse.
/// `available = on_hand - unavailable - reserved - allocated - safety_stock`, never below zero, and 0 while the warehouse is inactive
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "warehouse": "LONDON", "on_hand": 20, "unavailable": 1, "unavailable_by": {"damaged": 1, "quality_control": 0, "quarantined": 0},
    "reserved": 2, "allocated": 3, "safety_stock": 0, "incoming": 10, "available": 14, "reorder_point": 5,
    "next_expiry_at": "2026-11-23T09:45:00.000Z"
}))]
pub struct LevelView {
    pub warehouse: String,
    pub on_hand: i64,
    pub unavailable: i64,
    pub unavailable_by: UnavailableBy,
    /// Held by reservations that are alive
    pub reserved: i64,
    pub allocated: i64,
    pub safety_stock: i64,
    pub incoming: i64,
    /// What can be sold from here; a channel's buffer is taken off
    pub available: i64,
    pub reorder_point: i64,
    /// When the next hold here expires and may give stock back
    pub next_expiry_at: Option<Timestamp>,
}

impl LevelView {
    pub fn new(warehouse: &str, level: &Level, available: i64, next_expiry_at: Option<Timestamp>) -> Self {
        Self {
            warehouse: warehouse.to_owned(),
            on_hand: level.on_hand,
            unavailable: level.unavailable(),
            unavailable_by: UnavailableBy {
                damaged: level.damaged,
                quality_control: level.quality_control,
                quarantined: level.quarantined,
            },
            reserved: level.reserved,
            allocated: level.allocated,
            safety_stock: level.safety_stock,
            incoming: level.incoming,
            available,
            reorder_point: level.reorder_point,
            next_expiry_at,
        }
    }
}

/// The stock of a product: over all warehouses, or those that serve a channel
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "sku": "TEA-1", "state": "in_stock", "on_hand": 20, "unavailable": 1, "unavailable_by": {"damaged": 1, "quality_control": 0, "quarantined": 0},
    "reserved": 2, "allocated": 3, "safety_stock": 0, "incoming": 10, "available": 14, "backordered": 0, "reorder_point": 5,
    "next_expiry_at": "2026-11-23T09:45:00.000Z", "warehouses": []
}))]
pub struct StockView {
    pub sku: String,
    pub state: StockState,
    pub on_hand: i64,
    pub unavailable: i64,
    pub unavailable_by: UnavailableBy,
    pub reserved: i64,
    pub allocated: i64,
    pub safety_stock: i64,
    pub incoming: i64,
    pub available: i64,
    /// Promised beyond stock, to holds and orders
    pub backordered: i64,
    pub reorder_point: i64,
    pub next_expiry_at: Option<Timestamp>,
    pub warehouses: Vec<LevelView>,
}

impl StockView {
    pub fn sum(sku: String, state: StockState, backordered: i64, warehouses: Vec<LevelView>) -> Self {
        let total = |of: fn(&LevelView) -> i64| warehouses.iter().map(of).sum();
        Self {
            sku,
            state,
            on_hand: total(|w| w.on_hand),
            unavailable: total(|w| w.unavailable),
            unavailable_by: UnavailableBy {
                damaged: total(|w| w.unavailable_by.damaged),
                quality_control: total(|w| w.unavailable_by.quality_control),
                quarantined: total(|w| w.unavailable_by.quarantined),
            },
            reserved: total(|w| w.reserved),
            allocated: total(|w| w.allocated),
            safety_stock: total(|w| w.safety_stock),
            incoming: total(|w| w.incoming),
            available: total(|w| w.available),
            backordered,
            reorder_point: total(|w| w.reorder_point),
            next_expiry_at: warehouses.iter().filter_map(|w| w.next_expiry_at).min(),
            warehouses,
        }
    }
}

/// A place of the ledger: a condition within a warehouse, or a virtual place without one
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"place": "good", "warehouse": "LONDON"}))]
pub struct PlaceView {
    /// `good`, `damaged`, `quality_control` or `quarantined` in a warehouse; else `supplier`, `customer`, `adjustment`, `scrap`, `in_transit` or `production`
    pub place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,
}

impl From<&Place> for PlaceView {
    fn from(place: &Place) -> Self {
        let (place, warehouse) = place.columns();
        Self { place: place.to_owned(), warehouse: warehouse.map(str::to_owned) }
    }
}

/// What a movement was booked for
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"type": "shipment", "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"}))]
pub struct ReferenceView {
    pub r#type: String,
    pub id: String,
}

/// A row of the ledger: it is never changed
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "sku": "TEA-1", "quantity": 20, "from": {"place": "supplier"},
    "to": {"place": "good", "warehouse": "LONDON"}, "reason": "received", "note": null, "lot": null, "reference": null,
    "actor": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "effective_at": "2026-11-23T09:30:00.000Z", "booked_at": "2026-11-23T09:30:00.000Z"
}))]
pub struct MovementView {
    pub id: Uuid,
    pub sku: String,
    pub quantity: i64,
    pub from: PlaceView,
    pub to: PlaceView,
    pub reason: String,
    pub note: Option<String>,
    pub lot: Option<String>,
    pub reference: Option<ReferenceView>,
    /// The key that booked it
    pub actor: Uuid,
    /// When it happened
    pub effective_at: Timestamp,
    /// When it was written down
    pub booked_at: Timestamp,
}

/// A level after a change, and the movement that changed it
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Booked {
    /// The last movement booked; null when the quantity was as it should be
    pub movement: Option<MovementView>,
    pub level: LevelView,
    /// How the level was before, for the audit trail
    #[serde(skip)]
    pub before: Level,
}

/// A product to offer instead
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"sku": "TEA-2", "available": 7}))]
pub struct Substitute {
    pub sku: String,
    pub available: i64,
}

/// A product of which there is not enough
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"sku": "TEA-1", "requested": 5, "available": 2, "next_expiry_at": "2026-11-23T09:45:00.000Z", "substitutes": [{"sku": "TEA-2", "available": 7}]}))]
pub struct Shortage {
    pub sku: String,
    /// Asked for, over all lines
    pub requested: i64,
    /// What could be had
    pub available: i64,
    /// When the next hold on it expires and may give stock back
    pub next_expiry_at: Option<Timestamp>,
    /// What is in stock instead
    pub substitutes: Vec<Substitute>,
}

impl Shortage {
    /// A shortage of which no more is to be said.
    pub fn of(sku: String, requested: i64, available: i64) -> Self {
        Self { sku, requested, available, next_expiry_at: None, substitutes: Vec::new() }
    }
}

/// Why stock changed
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentReason {
    OpeningStock,
    Received,
    Sold,
    Returned,
    Found,
    Recount,
    Damaged,
    Expired,
    Lost,
    Stolen,
    Sample,
    Correction,
    Other,
}

impl AdjustmentReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpeningStock => "opening_stock",
            Self::Received => "received",
            Self::Sold => "sold",
            Self::Returned => "returned",
            Self::Found => "found",
            Self::Recount => "recount",
            Self::Damaged => "damaged",
            Self::Expired => "expired",
            Self::Lost => "lost",
            Self::Stolen => "stolen",
            Self::Sample => "sample",
            Self::Correction => "correction",
            Self::Other => "other",
        }
    }

    /// Where the goods come from or go to.
    pub fn counterpart(self) -> Place {
        match self {
            Self::OpeningStock | Self::Received => Place::Supplier,
            Self::Sold | Self::Returned => Place::Customer,
            Self::Damaged | Self::Expired => Place::Scrap,
            _ => Place::Adjustment,
        }
    }
}

/// A change of stock: `change`, or `set_to` with `expected_on_hand`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "warehouse": "LONDON", "change": 20, "reason": "received", "note": "delivery 4711"}))]
pub struct NewAdjustment {
    pub sku: Sku,
    pub warehouse: crate::warehouses::Code,
    /// Units to add, or (negative) to take away
    #[schema(minimum = -1_000_000_000_000i64, maximum = 1_000_000_000_000i64)]
    pub change: Option<i64>,
    /// Units that are on hand now (of a condition other than good: in that condition); goes with `expected_on_hand`
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64)]
    pub set_to: Option<i64>,
    /// Units that you believe were there before: refused as `stale-quantity` when there were not
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64)]
    pub expected_on_hand: Option<i64>,
    pub reason: AdjustmentReason,
    /// Which of the stock changes: good (on hand less unavailable) by default
    #[serde(default)]
    pub condition: Condition,
    #[schema(max_length = 2000)]
    pub note: Option<String>,
    /// Recorded with the movement
    #[schema(min_length = 1, max_length = 64)]
    pub lot: Option<String>,
    /// When it happened, if not now
    pub effective_at: Option<Timestamp>,
}

/// Stock of another condition than before: put aside as damaged, released from quality control
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "warehouse": "LONDON", "quantity": 1, "from": "good", "to": "damaged", "note": "torn bag"}))]
pub struct NewConditionChange {
    pub sku: Sku,
    pub warehouse: crate::warehouses::Code,
    pub quantity: crate::platform::quantity::Quantity,
    pub from: Condition,
    pub to: Condition,
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}
