//! Reports as they come, and what is answered to each.

use chrono::{SubsecRound, TimeDelta};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::inventory::{AdjustmentReason, Barcode, Sku};
use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;
use crate::warehouses::Code;

/// The oldest report that is taken. Those that were taken are known for a day longer, so that whatever is sent again
/// is known for a repetition or is too old.
pub const MAX_AGE_DAYS: i32 = 30;

/// What a source saw: how many there were (`count`), or that some came or went (`change`)
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewStockReport, example = json!({
    "sku": "TEA-1", "warehouse": "LONDON", "device": "scale-7", "sequence": 4711,
    "reported_at": "2026-11-23T09:30:00.000Z", "count": 18
}))]
pub struct NewReport {
    /// This or `barcode`
    pub sku: Option<Sku>,
    /// One that is printed on the product
    pub barcode: Option<Barcode>,
    /// The source's own when not said
    pub warehouse: Option<Code>,
    /// Which of the source's devices saw it: each counts its own `sequence`. A device that begins to count anew is another one
    #[schema(min_length = 1, max_length = 64)]
    pub device: Option<String>,
    /// Rises with each report of the device, and tells a repetition from a second report. A `change` needs it
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991i64)]
    pub sequence: Option<i64>,
    /// When it was seen, by the source's clock: at most 5 minutes ahead and 30 days ago
    pub reported_at: Timestamp,
    /// Units that were physically there, whatever their condition and promised or not
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64)]
    pub count: Option<i64>,
    /// Units that came, or (negative) went
    #[schema(minimum = -1_000_000_000_000i64, maximum = 1_000_000_000_000i64)]
    pub change: Option<i64>,
    /// Of the movement that is booked: `counted` or `reported` when not said
    pub reason: Option<AdjustmentReason>,
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

impl NewReport {
    /// When it was seen, as the database keeps it.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.reported_at.0.trunc_subsecs(6))
    }

    pub fn device(&self) -> &str {
        self.device.as_deref().unwrap_or_default()
    }

    /// What tells a repetition from another report under the same number: all of it, as it was sent.
    pub fn digest(&self) -> Vec<u8> {
        let Self { sku, barcode, warehouse, reported_at, count, change, reason, note, .. } = self;
        let micros = reported_at.0.timestamp_micros();
        let content = serde_json::to_vec(&(sku, barcode, warehouse, micros, count, change, reason, note));
        Sha256::digest(content.expect("plain data always serialises")).to_vec()
    }

    /// What the schema cannot say.
    pub fn faults(&self, now: Timestamp) -> Vec<Fault> {
        let mut faults = Vec::new();
        match (&self.sku, &self.barcode) {
            (None, None) => faults.push(Fault::new("/sku", "required", "either sku or barcode is needed")),
            (Some(_), Some(_)) => faults.push(Fault::new("/barcode", "exclusive", "give sku or barcode, not both")),
            _ => {}
        }
        match (self.count, self.change) {
            (None, None) => faults.push(Fault::new("/count", "required", "either count or change is needed")),
            (Some(_), Some(_)) => faults.push(Fault::new("/change", "exclusive", "give count or change, not both")),
            (None, Some(0)) => faults.push(Fault::new("/change", "zero", "a change of 0 changes nothing")),
            _ => {}
        }
        if self.change.is_some() && self.sequence.is_none() {
            let detail = "without a sequence number, a change cannot be told from its repetition";
            faults.push(Fault::new("/sequence", "required", detail));
        }
        if self.reported_at.is_after(now) {
            faults.push(Fault::new("/reported_at", "future", "this is in the future"));
        }
        if self.reported_at.0 < now.0 - TimeDelta::days(MAX_AGE_DAYS.into()) {
            let detail = format!("this is more than {MAX_AGE_DAYS} days ago");
            faults.push(Fault::new("/reported_at", "too_old", detail));
        }
        faults
    }
}

/// What became of a report
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Booked
    Applied,
    /// A count that is older than goods that have moved: held against what there was then, and the difference booked
    Reconciled,
    /// A count of which only a part could be booked, for the rest is promised or gone
    Partial,
    /// A count that agrees with the books
    Unchanged,
    /// Taken before: nothing was changed
    Duplicate,
    /// A count that a newer one has overtaken: nothing was changed
    Stale,
    /// A change that a count has seen already: nothing was changed
    Contained,
    /// A change that cannot be booked, for less is free to go
    Refused,
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Applied,
        Self::Reconciled,
        Self::Partial,
        Self::Unchanged,
        Self::Duplicate,
        Self::Stale,
        Self::Contained,
        Self::Refused,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Reconciled => "reconciled",
            Self::Partial => "partial",
            Self::Unchanged => "unchanged",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Contained => "contained",
            Self::Refused => "refused",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What was made of a report. Of a duplicate, what was made of it the first time
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StockReport, example = json!({
    "outcome": "reconciled", "sku": "TEA-1", "warehouse": "LONDON", "sequence": 4711, "expected": 20, "found": 18,
    "difference": -2, "booked": -2, "movement_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
}))]
pub struct Reported {
    pub outcome: Outcome,
    pub sku: String,
    pub warehouse: String,
    pub sequence: Option<i64>,
    /// On hand at that time by the books; of a count that was looked at
    pub expected: Option<i64>,
    /// The count
    pub found: Option<i64>,
    /// The change, or `found - expected`
    pub difference: Option<i64>,
    /// What was booked of it
    pub booked: i64,
    pub movement_id: Option<Uuid>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn time(text: &str) -> Timestamp {
        serde_json::from_value(text.into()).expect("a time")
    }

    fn report(more: Value) -> NewReport {
        let mut body = json!({"sku": "TEA", "reported_at": "2026-11-23T09:30:00Z", "count": 5});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(body).expect("a report")
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let now = time("2026-11-23T10:00:00Z");
        for (more, expected) in [
            (json!({}), ""),
            (json!({"sku": null, "barcode": "4711"}), ""),
            (json!({"sku": null}), "/sku required"),
            (json!({"barcode": "4711"}), "/barcode exclusive"),
            (json!({"count": null}), "/count required"),
            (json!({"change": 1, "sequence": 1}), "/change exclusive"),
            (json!({"count": null, "change": 0, "sequence": 1}), "/change zero"),
            (json!({"count": null, "change": 1}), "/sequence required"),
            (json!({"count": null, "change": 1, "sequence": 0}), ""),
            (json!({"reported_at": "2026-11-23T10:05:00Z"}), ""),
            (json!({"reported_at": "2026-11-23T10:05:01Z"}), "/reported_at future"),
            (json!({"reported_at": "2026-10-24T10:00:00Z"}), ""),
            (json!({"reported_at": "2026-10-24T09:59:59Z"}), "/reported_at too_old"),
        ] {
            let faults = report(more.clone()).faults(now);
            let found: Vec<String> = faults.iter().map(|f| format!("{} {}", f.pointer, f.code)).collect();
            assert_eq!(found.join(", "), expected, "{more}");
        }
    }

    #[test]
    fn a_repetition_says_the_same() {
        let digest = |more: Value| report(more).digest();
        let first = digest(json!({"sequence": 1}));
        assert_eq!(first, digest(json!({"sequence": 2})), "the number is what it is looked up by");
        assert_eq!(first, digest(json!({"reported_at": "2026-11-23T10:30:00.000+01:00"})), "the same instant");
        for other in [
            json!({"sku": "MUG"}),
            json!({"warehouse": "MAIN"}),
            json!({"count": 6}),
            json!({"count": null, "change": 5}),
            json!({"note": "x"}),
            json!({"reason": "lost"}),
            json!({"reported_at": "2026-11-23T09:30:00.001Z"}),
        ] {
            assert_ne!(first, digest(other.clone()), "{other}");
        }
    }

    #[test]
    fn outcomes_are_read_as_they_are_written() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
            assert_eq!(json!(outcome), outcome.as_str());
        }
    }
}
