//! What a receipt does to the lines of a transfer. Pure.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Error;
use super::model::{Transfer, TransferLineView, TransferStatus};
use crate::inventory::{Condition, Sku, TransferReceipt};
use crate::platform::problem::Fault;
use crate::platform::quantity::Quantity;

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
    use crate::transfers::model::tests::{fault, faults, transfer};
    use proptest::prelude::*;

    fn named(sku: &str, quantity: i64, condition: Condition) -> NewReceiptLine {
        NewReceiptLine { sku: Sku(sku.to_owned()), quantity: Quantity(quantity), condition }
    }

    fn receipt(lines: Vec<NewReceiptLine>, close: bool) -> NewReceipt {
        NewReceipt { lines: Some(lines), close }
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
