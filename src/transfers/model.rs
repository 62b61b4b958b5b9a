//! Transfers: what may be asked of one in which state, and what a receipt does to its lines. Pure.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Error;
use crate::inventory::{Condition, Sku, TransferLine, TransferReceipt};
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

/// Units of a product that arrived
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTransferReceiptLine, example = json!({"sku": "TEA-1", "quantity": 2, "condition": "damaged"}))]
pub struct NewReceiptLine {
    pub sku: Sku,
    /// At most what is still open of the product
    pub quantity: Quantity,
    /// In which they arrived: good by default. Each condition of a product has a line of its own
    #[serde(default)]
    pub condition: Condition,
}

/// What arrived of a transfer
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTransferReceipt, example = json!({"lines": [{"sku": "TEA-1", "quantity": 8}, {"sku": "TEA-1", "quantity": 1, "condition": "damaged"}], "close": true}))]
pub struct NewReceipt {
    /// Left out: everything that is still open, in good condition. Empty, with `close`: nothing more arrives
    #[schema(max_items = 1000)]
    pub lines: Option<Vec<NewReceiptLine>>,
    /// Whether what is still open after this receipt is written off as lost
    #[serde(default)]
    #[schema(default = false)]
    pub close: bool,
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

/// Units that arrive with one receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ArrivedLine {
    pub sku: String,
    pub quantity: i64,
    pub condition: Condition,
}

/// Units that a receipt writes off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LostLine {
    pub sku: String,
    pub quantity: i64,
}

/// What a receipt changes: decided, not booked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub arrived: Vec<ArrivedLine>,
    pub lost: Vec<LostLine>,
    /// All lines of the transfer as they are after it
    pub lines: Vec<TransferLineView>,
}

impl Arrival {
    /// Whether nothing is on its way any more.
    pub fn closes(&self) -> bool {
        self.lines.iter().all(|line| line.open() == 0)
    }

    pub fn status(&self) -> TransferStatus {
        if self.closes() { TransferStatus::Received } else { TransferStatus::InTransit }
    }

    /// The same in the words of inventory.
    pub fn receipts(&self) -> Vec<TransferReceipt> {
        let arrived = self.arrived.iter().map(|line| TransferReceipt {
            sku: line.sku.clone(),
            quantity: line.quantity,
            condition: line.condition,
            lost: 0,
        });
        let lost = self.lost.iter().map(|line| TransferReceipt {
            sku: line.sku.clone(),
            quantity: 0,
            condition: Condition::Good,
            lost: line.quantity,
        });
        arrived.chain(lost).collect()
    }
}

impl Transfer {
    fn must_be(&self, needed: TransferStatus, action: &'static str) -> Result<(), Error> {
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

    /// What a receipt does to the transfer, which must be in transit. Fails with every fault of the receipt.
    pub(super) fn receive(&self, receipt: &NewReceipt) -> Result<Arrival, Error> {
        self.must_be(TransferStatus::InTransit, "received")?;
        let mut lines = self.lines.clone();
        let arrived = match &receipt.lines {
            None => take_all(&mut lines),
            // An empty list says that nothing arrived, which only tells something when it closes the transfer.
            Some(named) if named.is_empty() && !receipt.close => {
                let detail = "nothing would change: name what arrived, or close the transfer";
                return Err(Error::Invalid(vec![Fault::new("/lines", "required", detail)]));
            }
            Some(named) => take_named(&mut lines, named).map_err(Error::Invalid)?,
        };
        let lost = if receipt.close { write_off(&mut lines) } else { Vec::new() };
        Ok(Arrival { arrived, lost, lines })
    }
}

/// Everything that is open arrives good.
fn take_all(lines: &mut [TransferLineView]) -> Vec<ArrivedLine> {
    let mut arrived = Vec::new();
    for line in lines {
        let quantity = line.open();
        if quantity > 0 {
            line.received += quantity;
            arrived.push(ArrivedLine { sku: line.sku.clone(), quantity, condition: Condition::Good });
        }
    }
    arrived
}

/// What is named arrives. A line that exceeds what those before it left open is a fault, and takes nothing.
fn take_named(lines: &mut [TransferLineView], named: &[NewReceiptLine]) -> Result<Vec<ArrivedLine>, Vec<Fault>> {
    let by_sku: HashMap<String, usize> = lines.iter().enumerate().map(|(n, line)| (line.sku.clone(), n)).collect();
    let mut seen = HashSet::new();
    let mut arrived = Vec::new();
    let mut faults = Vec::new();
    for (i, NewReceiptLine { sku: Sku(sku), quantity: Quantity(quantity), condition }) in named.iter().enumerate() {
        let Some(&n) = by_sku.get(sku) else {
            let detail = format!("the transfer has no line of {sku}");
            faults.push(Fault::new(format!("/lines/{i}/sku"), "unknown", detail));
            continue;
        };
        let (quantity, condition, open) = (*quantity, *condition, lines[n].open());
        if !seen.insert((n, condition)) {
            let detail = format!("{sku} in this condition has a line already");
            faults.push(Fault::new(format!("/lines/{i}/sku"), "repeated", detail));
        } else if quantity > open {
            let detail = format!("{open} of {sku} are open, {quantity} would arrive");
            faults.push(Fault::new(format!("/lines/{i}/quantity"), "exceeds_open", detail));
        } else {
            lines[n].received += quantity;
            arrived.push(ArrivedLine { sku: sku.clone(), quantity, condition });
        }
    }
    if faults.is_empty() { Ok(arrived) } else { Err(faults) }
}

/// Everything that is open is lost.
fn write_off(lines: &mut [TransferLineView]) -> Vec<LostLine> {
    let mut lost = Vec::new();
    for line in lines {
        let quantity = line.open();
        if quantity > 0 {
            line.lost += quantity;
            lost.push(LostLine { sku: line.sku.clone(), quantity });
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::id;
    use crate::warehouses::{NewWarehouse, Warehouse};
    use proptest::prelude::*;
    use serde_json::json;

    fn transfer(status: TransferStatus, shipped: &[(&str, i64)]) -> Transfer {
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

    fn named(sku: &str, quantity: i64, condition: Condition) -> NewReceiptLine {
        NewReceiptLine { sku: Sku(sku.to_owned()), quantity: Quantity(quantity), condition }
    }

    fn receipt(lines: Vec<NewReceiptLine>, close: bool) -> NewReceipt {
        NewReceipt { lines: Some(lines), close }
    }

    fn faults<T>(outcome: Result<T, Error>) -> Vec<(String, String)> {
        match outcome {
            Err(Error::Invalid(faults)) => faults.into_iter().map(|f| (f.pointer, f.code)).collect(),
            Err(other) => panic!("refused for another reason: {other}"),
            Ok(_) => Vec::new(),
        }
    }

    fn fault(pointer: &str, code: &str) -> (String, String) {
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
    fn without_lines_all_that_is_open_arrives_good() {
        let mut transfer = transfer(TransferStatus::InTransit, &[("A", 5), ("B", 2)]);
        transfer.lines[1].received = 2;
        let arrival = transfer.receive(&NewReceipt::default()).expect("in transit");
        assert_eq!(arrival.arrived, [ArrivedLine { sku: "A".to_owned(), quantity: 5, condition: Condition::Good }]);
        assert!(arrival.lost.is_empty());
        assert_eq!(arrival.status(), TransferStatus::Received);
    }

    #[test]
    fn a_product_may_arrive_in_several_conditions() {
        let transfer = transfer(TransferStatus::InTransit, &[("A", 5)]);
        let lines = vec![named("A", 3, Condition::Good), named("A", 1, Condition::Damaged)];
        let arrival = transfer.receive(&receipt(lines, false)).expect("within what is open");
        assert_eq!((arrival.lines[0].received, arrival.lines[0].lost), (4, 0));
        assert_eq!(arrival.status(), TransferStatus::InTransit);
        assert_eq!(arrival.receipts().len(), 2);
    }

    #[test]
    fn closing_writes_the_rest_off() {
        let transfer = transfer(TransferStatus::InTransit, &[("A", 5), ("B", 2)]);
        let arrival = transfer.receive(&receipt(vec![named("A", 4, Condition::Good)], true)).expect("fits");
        let lost = |sku: &str, quantity| LostLine { sku: sku.to_owned(), quantity };
        assert_eq!(arrival.lost, [lost("A", 1), lost("B", 2)]);
        assert_eq!(arrival.status(), TransferStatus::Received);
        let nothing = transfer.receive(&receipt(Vec::new(), true)).expect("all is lost");
        assert_eq!(nothing.lost, [lost("A", 5), lost("B", 2)]);
        assert!(nothing.arrived.is_empty());
    }

    #[test]
    fn every_fault_of_a_receipt_is_told() {
        let transfer = transfer(TransferStatus::InTransit, &[("A", 5)]);
        let lines = vec![
            named("A", 3, Condition::Good),
            named("X", 1, Condition::Good),
            named("A", 1, Condition::Good),
            named("A", 3, Condition::Damaged),
        ];
        assert_eq!(
            faults(transfer.receive(&receipt(lines, false))),
            [
                fault("/lines/1/sku", "unknown"),
                fault("/lines/2/sku", "repeated"),
                fault("/lines/3/quantity", "exceeds_open")
            ]
        );
        assert_eq!(faults(transfer.receive(&receipt(Vec::new(), false))), [fault("/lines", "required")]);
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

    /// Lines (which product, how many, damaged or good) or none, and whether to close.
    type Asked = (Option<Vec<(usize, i64, bool)>>, bool);

    fn asked() -> impl Strategy<Value = Asked> {
        let line = (0..4usize, 1..12i64, any::<bool>());
        (prop::option::of(prop::collection::vec(line, 0..4)), any::<bool>())
    }

    fn to_receipt((lines, close): Asked) -> NewReceipt {
        let line = |(n, quantity, damaged): (usize, i64, bool)| {
            named(&format!("S{n}"), quantity, if damaged { Condition::Damaged } else { Condition::Good })
        };
        NewReceipt { lines: lines.map(|lines| lines.into_iter().map(line).collect()), close }
    }

    proptest! {
        #[test]
        fn never_more_arrives_or_is_lost_than_was_shipped(
            shipped in prop::collection::vec(1..20i64, 1..4),
            receipts in prop::collection::vec(asked(), 1..8),
        ) {
            let skus: Vec<String> = (0..shipped.len()).map(|n| format!("S{n}")).collect();
            let lines: Vec<(&str, i64)> = skus.iter().map(String::as_str).zip(shipped).collect();
            let mut transfer = transfer(TransferStatus::InTransit, &lines);
            for asked in receipts {
                let Ok(arrival) = transfer.receive(&to_receipt(asked)) else { continue };
                let open = |lines: &[TransferLineView]| lines.iter().map(TransferLineView::open).sum::<i64>();
                let booked: i64 = arrival.receipts().iter().map(|r| r.quantity + r.lost).sum();
                prop_assert_eq!(open(&transfer.lines) - open(&arrival.lines), booked);
                for (before, after) in transfer.lines.iter().zip(&arrival.lines) {
                    prop_assert!(after.received >= before.received && after.lost >= before.lost);
                    prop_assert!(after.received + after.lost <= after.shipped);
                }
                prop_assert_eq!(arrival.status() == TransferStatus::Received, open(&arrival.lines) == 0);
                transfer.status = arrival.status();
                transfer.lines = arrival.lines;
            }
        }
    }
}
