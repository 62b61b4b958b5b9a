//! Returns that are asked for before they come. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Error;
use super::life::{ReturnRequestStatus, Step, Units, after_receipt};
use crate::inventory::Sku;
use crate::orders::{ExchangeLine, NewReturnLine, Order};
use crate::platform::clock::Timestamp;
use crate::platform::money::Money;
use crate::platform::problem::Fault;
use crate::platform::quantity::Quantity;

type Result<T> = std::result::Result<T, Error>;

/// Units of a product that a customer wants to send back
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 1, "reason": "too strong"}))]
pub struct NewReturnRequestLine {
    pub sku: Sku,
    pub quantity: Quantity,
    #[schema(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
}

/// A return to ask for
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-1", "quantity": 1, "reason": "too strong"}]}))]
pub struct NewReturnRequest {
    /// Each product once
    #[schema(min_items = 1, max_items = 200)]
    pub lines: Vec<NewReturnRequestLine>,
    #[schema(min_length = 1, max_length = 2000)]
    pub note: Option<String>,
}

/// Units of a product that may be sent back
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 1}))]
pub struct ApprovedLine {
    pub sku: Sku,
    /// 0: none of it
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: i64,
}

/// What is approved
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"restocking_fee": 100}))]
pub struct Approval {
    /// Products of which less than was asked for may come
    #[serde(default)]
    #[schema(max_items = 200)]
    pub lines: Vec<ApprovedLine>,
    /// Kept of what was paid, in minor units of the order's currency
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64)]
    pub restocking_fee: i64,
}

/// Why it is not wanted
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the packet was opened"}))]
pub struct Rejection {
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Goods that came in
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-1", "quantity": 1, "disposition": "quarantine", "warehouse": "LONDON"}]}))]
pub struct ReturnReceipt {
    #[schema(min_items = 1, max_items = 200)]
    pub lines: Vec<NewReturnLine>,
}

/// Goods to send in the place of what has come
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-1", "quantity": 1}]}))]
pub struct Exchange {
    #[schema(min_items = 1, max_items = 200)]
    pub lines: Vec<ExchangeLine>,
}

/// The order that takes the place of what has come
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1f", "order_number": 1002, "credit": {"amount": 650, "currency": "EUR"}
}))]
pub struct Exchanged {
    pub order_id: Uuid,
    #[schema(example = 1002)]
    pub order_number: i64,
    /// What was taken off it, and so is not to be refunded
    pub credit: Money,
}

/// Units of a product of a return
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"sku": "TEA-1", "requested": 1, "approved": 1, "received": 0, "over": 0, "reason": "too strong"}))]
pub struct ReturnRequestLine {
    pub sku: String,
    pub requested: i64,
    /// Null until it is decided
    pub approved: Option<i64>,
    pub received: i64,
    /// Received beyond what was approved
    pub over: i64,
    pub reason: Option<String>,
}

impl ReturnRequestLine {
    fn units(&self) -> Units {
        Units { requested: self.requested, approved: self.approved, received: self.received }
    }
}

/// A return from when it is asked for
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a30", "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "order_number": 1001,
    "channel": "web", "status": "requested",
    "lines": [{"sku": "TEA-1", "requested": 1, "approved": null, "received": 0, "over": 0, "reason": "too strong"}],
    "note": null, "reason": null, "restocking_fee": 0, "refund_due": null, "exchange": null,
    "created_at": "2026-11-23T09:30:00.000Z", "updated_at": "2026-11-23T09:30:00.000Z",
}))]
pub struct ReturnRequest {
    pub id: Uuid,
    pub order_id: Uuid,
    #[schema(example = 1001)]
    pub order_number: i64,
    pub channel: Option<String>,
    pub status: ReturnRequestStatus,
    pub lines: Vec<ReturnRequestLine>,
    pub note: Option<String>,
    /// Why it was rejected
    pub reason: Option<String>,
    /// Kept of what was paid, in minor units
    pub restocking_fee: i64,
    /// What was paid for what has come, less the fee and what an exchange took of it; null until something has, and where some of it has no price. It is for
    /// you to refund
    pub refund_due: Option<Money>,
    /// What was sent in its place
    pub exchange: Option<Exchanged>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What was paid for what has come
    #[serde(skip)]
    pub worth: Option<Money>,
    /// Some of what has come has no price
    #[serde(skip)]
    pub is_unpriced: bool,
}

/// What to list.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub order_id: Option<Uuid>,
    pub status: Option<ReturnRequestStatus>,
    pub channels: Option<Vec<String>>,
}

impl ReturnRequest {
    /// A request for an order of which these others exist.
    pub(super) fn new(id: Uuid, order: &Order, others: &[ReturnRequest], new: &NewReturnRequest) -> Result<Self> {
        let mut faults = Vec::new();
        for (n, line) in new.lines.iter().enumerate() {
            if new.lines[..n].iter().any(|other| other.sku == line.sku) {
                faults.push(Fault::new(format!("/lines/{n}/sku"), "repeated", "this product is named before"));
            }
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        for (n, line) in new.lines.iter().enumerate() {
            let (sku, asked) = (&line.sku.0, line.quantity.0);
            if !order.lines.iter().any(|line| line.sku == *sku) {
                faults.push(Fault::new(format!("/lines/{n}/sku"), "not_ordered", format!("{sku} was not ordered")));
                continue;
            }
            let free = returnable(order, others, sku);
            if asked > free {
                let detail = format!("{free} of {sku} are with the customer and in no other return");
                faults.push(Fault::new(format!("/lines/{n}/quantity"), "too_many", detail));
            }
        }
        if !faults.is_empty() {
            return Err(Error::Conflict(faults));
        }
        let lines = new.lines.iter().map(|line| ReturnRequestLine {
            sku: line.sku.0.clone(),
            requested: line.quantity.0,
            approved: None,
            received: 0,
            over: 0,
            reason: line.reason.clone(),
        });
        let now = Timestamp::now();
        Ok(Self {
            id,
            order_id: order.head.id,
            order_number: order.head.number,
            channel: order.head.channel.clone(),
            status: ReturnRequestStatus::Requested,
            lines: lines.collect(),
            note: new.note.clone(),
            reason: None,
            restocking_fee: 0,
            refund_due: None,
            exchange: None,
            created_at: now,
            updated_at: now,
            worth: None,
            is_unpriced: false,
        })
    }

    fn check(&self, step: Step, what: &str) -> Result<()> {
        if self.status.allows(step) {
            return Ok(());
        }
        let status = crate::platform::db::text::to_text(self.status);
        Err(Error::State(format!("a return that is {status} cannot be {what}")))
    }

    pub(super) fn approve(&mut self, approval: &Approval) -> Result<()> {
        self.check(Step::Approve, "approved")?;
        let mut faults = Vec::new();
        for (n, wanted) in approval.lines.iter().enumerate() {
            let pointer = |member: &str| format!("/lines/{n}/{member}");
            if approval.lines[..n].iter().any(|other| other.sku == wanted.sku) {
                faults.push(Fault::new(pointer("sku"), "repeated", "this product is named before"));
                continue;
            }
            match self.lines.iter_mut().find(|line| line.sku == wanted.sku.0) {
                None => faults.push(Fault::new(pointer("sku"), "unknown", "this product is not in the return")),
                Some(line) if wanted.quantity > line.requested => {
                    let detail = format!("{} were asked for", line.requested);
                    faults.push(Fault::new(pointer("quantity"), "too_many", detail));
                }
                Some(line) => line.approved = Some(wanted.quantity),
            }
        }
        if faults.is_empty() && self.lines.iter().all(|line| line.approved == Some(0)) {
            faults.push(Fault::new("/lines", "zero", "nothing may come: reject it instead"));
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        for line in &mut self.lines {
            line.approved = line.approved.or(Some(line.requested));
        }
        (self.status, self.restocking_fee) = (ReturnRequestStatus::Approved, approval.restocking_fee);
        Ok(())
    }

    pub(super) fn reject(&mut self, reason: &str) -> Result<()> {
        self.check(Step::Reject, "rejected")?;
        (self.status, self.reason) = (ReturnRequestStatus::Rejected, Some(reason.to_owned()));
        Ok(())
    }

    pub(super) fn cancel(&mut self) -> Result<()> {
        self.check(Step::Cancel, "cancelled")?;
        self.status = ReturnRequestStatus::Cancelled;
        Ok(())
    }

    /// What can be taken off an order that takes the place of what has come.
    pub(super) fn credit(&self) -> Result<Money> {
        self.check(Step::Exchange, "exchanged")?;
        if let Some(exchange) = &self.exchange {
            return Err(Error::State(format!("it was exchanged for order {} already", exchange.order_number)));
        }
        let unknown = "what has come has no price, so it is not known what to take off: refund it, and place an order";
        self.refund_due.clone().ok_or_else(|| Error::State(unknown.to_owned()))
    }

    pub(super) fn close(&mut self) -> Result<()> {
        self.check(Step::Close, "closed")?;
        self.status = ReturnRequestStatus::Closed;
        Ok(())
    }

    /// Whether these goods may come in by it: what is at the door is a fact, so more than was approved may.
    pub(super) fn check_receipt(&self, receipt: &ReturnReceipt) -> Result<()> {
        self.check(Step::Receive, "received")?;
        let lines = receipt.lines.iter().enumerate();
        let unknown = lines.filter(|(_, line)| !self.lines.iter().any(|known| known.sku == line.sku.0));
        let faults = unknown.map(|(n, _)| {
            Fault::new(
                format!("/lines/{n}/sku"),
                "unknown",
                "this product is not in the return: take it back by itself",
            )
        });
        let faults: Vec<Fault> = faults.collect();
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }

    /// Books goods that came in, and what was paid for them.
    pub(super) fn receive(&mut self, receipt: &ReturnReceipt, paid: Option<Money>) {
        for came in &receipt.lines {
            if let Some(line) = self.lines.iter_mut().find(|line| line.sku == came.sku.0) {
                line.received += came.quantity.0;
                line.over = line.units().over();
            }
        }
        let units: Vec<Units> = self.lines.iter().map(ReturnRequestLine::units).collect();
        self.status = after_receipt(&units);
        match (paid, &mut self.worth) {
            (None, _) => self.is_unpriced = true,
            (Some(paid), Some(worth)) => worth.amount += paid.amount,
            (Some(paid), worth) => *worth = Some(paid),
        }
        self.add_up();
    }

    /// What is to be refunded follows from what has come.
    pub(super) fn add_up(&mut self) {
        let kept = self.restocking_fee + self.exchange.as_ref().map_or(0, |exchange| exchange.credit.amount);
        let due = |worth: &Money| Money { amount: (worth.amount - kept).max(0), currency: worth.currency.clone() };
        self.refund_due = self.worth.as_ref().filter(|_| !self.is_unpriced).map(due);
    }
}

/// Units of a product that may still be asked for: with the customer, and in no other return.
fn returnable(order: &Order, requests: &[ReturnRequest], sku: &str) -> i64 {
    let lines = order.lines.iter().filter(|line| line.sku == sku);
    let with_customer: i64 = lines.map(|line| line.shipped - line.returned).sum();
    let pending = requests.iter().flat_map(|request| {
        let lines = request.lines.iter().filter(|line| line.sku == sku);
        lines.map(|line| line.units().pending(request.status))
    });
    (with_customer - pending.sum::<i64>()).max(0)
}
