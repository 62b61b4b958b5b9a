//! Transfers: what may be asked of one in which state. Pure.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Error;
use crate::inventory::{Sku, TransferLine};
use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;
use crate::platform::quantity::Quantity;
use crate::warehouses::{Code, Directory};

/// How far a transfer has come. A draft holds nothing; what is in transit is in neither warehouse;
/// a received one has arrived, or is written off as lost
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferStatus {
    Draft,
    InTransit,
    Received,
    Cancelled,
}

impl TransferStatus {
    /// The word in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::InTransit => "in_transit",
            Self::Received => "received",
            Self::Cancelled => "cancelled",
        }
    }

    /// `None` when it is none of the four words.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Draft, Self::InTransit, Self::Received, Self::Cancelled];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

/// A product to transfer
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 10}))]
pub struct NewTransferLine {
    pub sku: Sku,
    pub quantity: Quantity,
}

/// Goods to move from one active warehouse to another. A product stands on one line only
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "LONDON", "to": "LEEDS", "lines": [{"sku": "TEA-1", "quantity": 10}], "reference": "TR-4711"}))]
pub struct NewTransfer {
    pub from: Code,
    pub to: Code,
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<NewTransferLine>,
    /// What you call it
    #[schema(max_length = 200)]
    pub reference: Option<String>,
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

impl NewTransfer {
    /// Checks what the schema cannot say; `unknown`: those of the skus that no product has. Fails with every fault.
    pub(super) fn validate(&self, directory: &Directory, unknown: &[String]) -> Result<(), Error> {
        let mut faults = Vec::new();
        faults.extend(warehouse_fault(directory, "/from", &self.from.0));
        if self.from == self.to {
            faults.push(Fault::new("/to", "same", "from and to are the same warehouse"));
        } else {
            faults.extend(warehouse_fault(directory, "/to", &self.to.0));
        }
        let unknown: HashSet<&str> = unknown.iter().map(String::as_str).collect();
        let mut seen = HashSet::new();
        for (i, line) in self.lines.iter().enumerate() {
            let sku = line.sku.0.as_str();
            if !seen.insert(sku) {
                faults.push(Fault::new(format!("/lines/{i}/sku"), "repeated", format!("{sku} has a line already")));
            } else if unknown.contains(sku) {
                faults.push(Fault::new(format!("/lines/{i}/sku"), "unknown", format!("there is no product {sku}")));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }
}

fn warehouse_fault(directory: &Directory, pointer: &str, code: &str) -> Option<Fault> {
    match directory.warehouse(code) {
        None => Some(Fault::new(pointer, "unknown", format!("there is no warehouse {code}"))),
        Some(_) if !directory.is_active(code) => {
            Some(Fault::new(pointer, "inactive", format!("the warehouse {code} is not active")))
        }
        Some(_) => None,
    }
}

/// A line of a transfer: `received + lost <= shipped <= quantity`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 10, "shipped": 10, "received": 9, "lost": 1}))]
pub struct TransferLineView {
    pub sku: String,
    /// Asked for
    pub quantity: i64,
    /// Left the first warehouse
    pub shipped: i64,
    /// Arrived, in whatever condition
    pub received: i64,
    /// Written off when the transfer was closed
    pub lost: i64,
}

impl TransferLineView {
    /// What is still on its way; never below zero.
    pub fn open(&self) -> i64 {
        self.shipped - self.received - self.lost
    }
}

/// Goods on their way between two warehouses
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "status": "in_transit", "from": "LONDON", "to": "LEEDS",
    "reference": "TR-4711", "note": null,
    "lines": [{"sku": "TEA-1", "quantity": 10, "shipped": 10, "received": 4, "lost": 0}],
    "created_at": "2026-11-23T09:30:00.000Z", "updated_at": "2026-11-24T14:05:00.000Z",
    "shipped_at": "2026-11-23T16:00:00.000Z", "closed_at": null
}))]
pub struct Transfer {
    pub id: Uuid,
    pub status: TransferStatus,
    pub from: String,
    pub to: String,
    pub reference: Option<String>,
    pub note: Option<String>,
    pub lines: Vec<TransferLineView>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When the goods left
    pub shipped_at: Option<Timestamp>,
    /// When the last of it was received or written off, or the draft was cancelled
    pub closed_at: Option<Timestamp>,
}

impl Transfer {
    pub(super) fn must_be(&self, needed: TransferStatus, action: &'static str) -> Result<(), Error> {
        if self.status == needed { Ok(()) } else { Err(Error::State { status: self.status, needed, action }) }
    }

    /// What leaves when the transfer is shipped: all of it. Only a draft can be.
    pub(super) fn ship(&self) -> Result<Vec<TransferLine>, Error> {
        self.must_be(TransferStatus::Draft, "shipped")?;
        let leaving = |line: &TransferLineView| TransferLine { sku: line.sku.clone(), quantity: line.quantity };
        Ok(self.lines.iter().map(leaving).collect())
    }

    /// Only a draft can be cancelled: goods on their way exist, and have to arrive somewhere or be lost.
    pub(super) fn check_cancel(&self) -> Result<(), Error> {
        self.must_be(TransferStatus::Draft, "cancelled")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::platform::id;
    use crate::transfers::NewReceipt;
    use crate::warehouses::{NewWarehouse, Warehouse};
    use serde_json::json;

    pub fn transfer(status: TransferStatus, shipped: &[(&str, i64)]) -> Transfer {
        let line = |&(sku, shipped): &(&str, i64)| TransferLineView {
            sku: sku.to_owned(),
            quantity: shipped,
            shipped,
            received: 0,
            lost: 0,
        };
        let now = Timestamp::now();
        Transfer {
            id: id::new(),
            status,
            from: "LONDON".to_owned(),
            to: "LEEDS".to_owned(),
            reference: None,
            note: None,
            lines: shipped.iter().map(line).collect(),
            created_at: now,
            updated_at: now,
            shipped_at: Some(now),
            closed_at: None,
        }
    }

    pub fn faults<T>(outcome: Result<T, Error>) -> Vec<(String, String)> {
        match outcome {
            Err(Error::Invalid(faults)) => faults.into_iter().map(|f| (f.pointer, f.code)).collect(),
            Err(other) => panic!("refused for another reason: {other}"),
            Ok(_) => Vec::new(),
        }
    }

    pub fn fault(pointer: &str, code: &str) -> (String, String) {
        (pointer.to_owned(), code.to_owned())
    }

    fn directory() -> Directory {
        let now = Timestamp::now();
        let warehouse = |code: &str, active: bool| {
            let fields: NewWarehouse =
                serde_json::from_value(json!({"code": code, "name": code, "active": active})).expect("valid");
            Warehouse { fields, created_at: now, updated_at: now }
        };
        let warehouses = vec![warehouse("LONDON", true), warehouse("LEEDS", true), warehouse("CLOSED", false)];
        Directory { warehouses, ..Directory::default() }
    }

    fn new_transfer(from: &str, to: &str, skus: &[&str]) -> NewTransfer {
        let line = |sku: &&str| NewTransferLine { sku: Sku((*sku).to_owned()), quantity: Quantity(1) };
        let (from, to) = (Code(from.to_owned()), Code(to.to_owned()));
        NewTransfer { from, to, lines: skus.iter().map(line).collect(), reference: None, note: None }
    }

    #[test]
    fn a_new_transfer_names_two_active_warehouses_and_each_product_once() {
        let check = |new: NewTransfer| faults(new.validate(&directory(), &["NONE".to_owned()]));
        assert!(check(new_transfer("LONDON", "LEEDS", &["A", "B"])).is_empty());
        assert_eq!(check(new_transfer("LONDON", "LONDON", &["A"])), [fault("/to", "same")]);
        assert_eq!(
            check(new_transfer("CLOSED", "NOWHERE", &["A", "NONE", "A"])),
            [
                fault("/from", "inactive"),
                fault("/to", "unknown"),
                fault("/lines/1/sku", "unknown"),
                fault("/lines/2/sku", "repeated"),
            ]
        );
    }

    #[test]
    fn each_step_needs_its_state() {
        use TransferStatus::{Cancelled, Draft, InTransit, Received};
        for status in [Draft, InTransit, Received, Cancelled] {
            assert_eq!(TransferStatus::parse(status.as_str()), Some(status));
            let transfer = transfer(status, &[("A", 1)]);
            assert_eq!(transfer.ship().is_ok(), status == Draft);
            assert_eq!(transfer.check_cancel().is_ok(), status == Draft);
            assert_eq!(transfer.receive(&NewReceipt::default()).is_ok(), status == InTransit);
        }
        let refused = transfer(Received, &[("A", 1)]).ship().err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some("the transfer is received: only one that is draft can be shipped"));
    }
}
