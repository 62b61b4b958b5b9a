//! What transfers publish. Version 1 of each: fields are only ever added.

use serde_json::json;
use uuid::Uuid;

use super::model::{Transfer, TransferLineView};
use super::receipt::Arrival;
use crate::events::Event;

fn subject(id: Uuid) -> String {
    format!("transfers/{id}")
}

/// `transfer.shipped`: `{id, from, to, reference, lines: [{sku, quantity}]}`.
pub(super) fn shipped(transfer: &Transfer) -> Event {
    let line = |line: &TransferLineView| json!({ "sku": line.sku, "quantity": line.shipped });
    let lines: Vec<_> = transfer.lines.iter().map(line).collect();
    let data = json!({
        "id": transfer.id, "from": transfer.from, "to": transfer.to, "reference": transfer.reference, "lines": lines,
    });
    Event::new("transfer.shipped", subject(transfer.id), &data)
}

/// `transfer.received`, once for each receipt:
/// `{id, from, to, reference, lines: [{sku, quantity, condition}], lost: [{sku, quantity}], closed}`.
/// `lines` and `lost` tell of this receipt alone; `closed` says that nothing is on its way any more.
pub(super) fn received(transfer: &Transfer, arrival: &Arrival) -> Event {
    let data = json!({
        "id": transfer.id, "from": transfer.from, "to": transfer.to, "reference": transfer.reference,
        "lines": arrival.arrived, "lost": arrival.lost, "closed": arrival.closes(),
    });
    Event::new("transfer.received", subject(transfer.id), &data)
}
