//! Where goods are, and how they move: the words of the ledger.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::clock::Timestamp;

/// What stock in a warehouse is fit for. Only good stock can be sold
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    #[default]
    Good,
    Damaged,
    QualityControl,
    Quarantined,
}

/// Where goods are: a condition within a warehouse, or one of the virtual places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Warehouse { code: String, condition: Condition },
    Supplier,
    Customer,
    Adjustment,
    Scrap,
    InTransit,
}

impl Place {
    pub fn good(code: &str) -> Self {
        Self::in_condition(code, Condition::Good)
    }

    pub fn in_condition(code: &str, condition: Condition) -> Self {
        Self::Warehouse { code: code.to_owned(), condition }
    }

    /// As the two columns of a ledger row.
    pub fn columns(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Warehouse { code, condition } => (condition.as_str(), Some(code)),
            Self::Supplier => ("supplier", None),
            Self::Customer => ("customer", None),
            Self::Adjustment => ("adjustment", None),
            Self::Scrap => ("scrap", None),
            Self::InTransit => ("in_transit", None),
        }
    }
}

impl Condition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Damaged => "damaged",
            Self::QualityControl => "quality_control",
            Self::Quarantined => "quarantined",
        }
    }
}

/// What a ledger row is booked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub r#type: &'static str,
    pub id: String,
}

impl Reference {
    pub fn new(r#type: &'static str, id: Uuid) -> Self {
        Self { r#type, id: id.to_string() }
    }
}

/// One row of the ledger, about to be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMovement {
    pub sku: String,
    pub quantity: i64,
    pub from: Place,
    pub to: Place,
    pub reason: &'static str,
    pub note: Option<String>,
    pub lot: Option<String>,
    pub reference: Option<Reference>,
    /// When it happened; the moment of booking when not said
    pub effective_at: Option<Timestamp>,
}

impl NewMovement {
    pub fn new(sku: &str, quantity: i64, from: Place, to: Place, reason: &'static str) -> Self {
        let sku = sku.to_owned();
        Self { sku, quantity, from, to, reason, note: None, lot: None, reference: None, effective_at: None }
    }

    pub fn for_reference(mut self, r#type: &'static str, id: Uuid) -> Self {
        self.reference = Some(Reference::new(r#type, id));
        self
    }

    pub fn at(mut self, effective_at: Option<Timestamp>) -> Self {
        self.effective_at = effective_at;
        self
    }
}
