//! Where a report and the books disagreed.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::report::Outcome;
use crate::platform::clock::Timestamp;

/// A count that differs from the books, or a change that could not be booked
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FeedDiscrepancy, example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "source": "scales", "device": "scale-7", "sequence": 4711,
    "sku": "TEA-1", "warehouse": "LONDON", "outcome": "reconciled", "reported_at": "2026-11-23T09:30:00.000Z",
    "received_at": "2026-11-23T09:31:00.000Z", "expected": 20, "found": 18, "difference": -2, "booked": -2, "open": 0,
    "movement_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "reason": "counted", "note": null
}))]
pub struct Discrepancy {
    pub id: Uuid,
    pub source: String,
    pub device: Option<String>,
    pub sequence: Option<i64>,
    pub sku: String,
    pub warehouse: String,
    /// `applied`, `reconciled` or `partial`; of a change that could not be booked `refused`, until it is sent again and is
    /// `applied`, or `contained` in a count
    pub outcome: Outcome,
    pub reported_at: Timestamp,
    pub received_at: Timestamp,
    /// On hand at `reported_at` by the books; null for a change
    pub expected: Option<i64>,
    /// The count; null for a change
    pub found: Option<i64>,
    /// `found - expected`, or the change
    pub difference: i64,
    /// What was booked of it
    pub booked: i64,
    /// What could not be booked, because it is promised or was gone already; 0 once a newer count, or the change when it
    /// is sent again, has settled it
    pub open: i64,
    pub movement_id: Option<Uuid>,
    pub reason: String,
    pub note: Option<String>,
}

/// What to list.
#[derive(Debug, Default)]
pub struct Filter {
    pub source: String,
    pub sku: Option<String>,
    pub warehouses: Option<Vec<String>>,
    pub open: Option<bool>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}
