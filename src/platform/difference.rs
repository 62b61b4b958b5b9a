//! What a self-check reports.

use serde::Serialize;
use utoipa::ToSchema;

/// Something that is not as it must be
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"check": "reserved_equals_holds", "subject": "TEA-1 @ LONDON", "expected": 3, "found": 4}))]
pub struct Difference {
    /// The rule that is broken
    pub check: String,
    /// Where: a product and warehouse, an order line
    pub subject: String,
    /// What follows from the records behind it
    pub expected: i64,
    /// What stands there
    pub found: i64,
}

impl Difference {
    pub fn new(check: &str, subject: String, expected: i64, found: i64) -> Self {
        Self { check: check.to_owned(), subject, expected, found }
    }
}
