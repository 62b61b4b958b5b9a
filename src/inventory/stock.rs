//! Goods that move: adjustments, changes of condition, transfers, shipments, returns.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::book::{Book, Refused};
use super::model::level::Level;
use super::model::place::{Condition, NewMovement, Place};
use super::model::sourcing::{Part, Sourced};
use super::model::views::{Booked, NewAdjustment, NewConditionChange, Shortage};
use super::read::level_view;
use super::{Error, Inventory, Result, repo};
use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;

/// What is done with goods that come back
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Back to good stock
    Restock,
    /// Put aside until inspected
    Quarantine,
    /// Thrown away
    Scrap,
}

impl Disposition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restock => "restock",
            Self::Quarantine => "quarantine",
            Self::Scrap => "scrap",
        }
    }
}

/// Units of an order line that leave a warehouse.
pub struct ShipLine {
    pub order_line_id: Uuid,
    pub sku: String,
    pub quantity: i64,
}

/// Units that come back.
pub struct ReturnLine {
    pub sku: String,
    pub quantity: i64,
    pub warehouse: String,
    pub disposition: Disposition,
}

/// Units that go from one warehouse to another.
pub struct TransferLine {
    pub sku: String,
    pub quantity: i64,
}

/// Units that arrive from a transfer, in a condition; `lost` ones never will.
pub struct TransferReceipt {
    pub sku: String,
    pub quantity: i64,
    pub condition: Condition,
    pub lost: i64,
}

/// What became of one change of stock: which of the transaction's movements it is, if any, and how the level was.
struct Outcome {
    movement: Option<usize>,
    before: Level,
}

impl Inventory {
    /// Changes stock by each adjustment on its own, in order; one that is refused does not fail its neighbours.
    pub(super) async fn adjust_in_tx(
        &self,
        conn: &mut PgConnection,
        adjustments: &[NewAdjustment],
        actor: Uuid,
    ) -> Result<Vec<Result<Booked>>> {
        let warehouses: Vec<&str> = adjustments.iter().map(|a| a.warehouse.0.as_str()).collect();
        let missing = self.warehouses.pin_in_tx(conn, &warehouses).await?;
        let mut book = self.open(conn, adjustments.iter().map(|a| a.sku.0.clone()).collect()).await?;
        let mut booked = 0;
        let outcomes: Vec<Result<Outcome>> = adjustments
            .iter()
            .map(|adjustment| {
                let before = book.level(&adjustment.sku.0, &adjustment.warehouse.0);
                let moved = adjust(&mut book, adjustment, &missing)?;
                booked += usize::from(moved);
                Ok(Outcome { movement: moved.then(|| booked - 1), before })
            })
            .collect();
        let (movements, book) = self.close_and_tell(conn, book, actor).await?;
        let touched: Vec<(&str, &str)> =
            adjustments.iter().map(|a| (a.sku.0.as_str(), a.warehouse.0.as_str())).collect();
        self.booked(conn, &book, &movements, &touched, outcomes).await
    }

    pub(super) async fn change_condition_in_tx(
        &self,
        conn: &mut PgConnection,
        change: &NewConditionChange,
        actor: Uuid,
    ) -> Result<Booked> {
        let (sku, code) = (change.sku.0.as_str(), change.warehouse.0.as_str());
        let missing = self.warehouses.pin_in_tx(conn, &[code]).await?;
        let mut book = self.open(conn, vec![sku.to_owned()]).await?;
        let mut faults = place_faults(&book, sku, code, &missing);
        if change.from == change.to {
            faults.push(Fault::new("/to", "same", "from and to are the same condition"));
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let (from, to) = (Place::in_condition(code, change.from), Place::in_condition(code, change.to));
        let mut movement = NewMovement::new(sku, change.quantity.0, from, to, "condition_change");
        movement.note.clone_from(&change.note);
        let before = book.level(sku, code);
        book.move_stock(movement)?;
        let (movements, book) = self.close_and_tell(conn, book, actor).await?;
        let outcomes = vec![Ok(Outcome { movement: Some(0), before })];
        let mut booked = self.booked(conn, &book, &movements, &[(sku, code)], outcomes).await?;
        booked.pop().expect("one was asked for")
    }

    /// Sets what is kept back, and when stock counts as low, of a level that is locked.
    pub(super) async fn set_level_in_tx(
        &self,
        conn: &mut PgConnection,
        sku: &str,
        code: &str,
        safety_stock: i64,
        reorder_point: i64,
    ) -> Result<()> {
        let mut book = self.open(conn, vec![sku.to_owned()]).await?;
        book.set_safety_stock(sku, code, safety_stock);
        book.set_reorder_point(sku, code, reorder_point);
        self.close_and_tell(conn, book, super::SERVER).await?;
        Ok(())
    }

    /// Ships what an order is promised from one warehouse.
    pub async fn ship_in_tx(
        &self,
        conn: &mut PgConnection,
        shipment: Uuid,
        warehouse: &str,
        lines: &[ShipLine],
        shipped_at: Option<Timestamp>,
        actor: Uuid,
    ) -> Result<()> {
        let mut book = self.open(conn, lines.iter().map(|line| line.sku.clone()).collect()).await?;
        let taken: Vec<(Uuid, i64)> = lines.iter().map(|line| (line.order_line_id, line.quantity)).collect();
        let reduced = repo::claims::reduce_allocations(conn, warehouse, &taken).await?;
        if usize::try_from(reduced).is_ok_and(|n| n != lines.len()) {
            return Err(Error::Invalid(vec![Fault::new("/lines", "not_allocated", "more than is allocated there")]));
        }
        for line in lines {
            let part = Part { warehouse: warehouse.to_owned(), quantity: line.quantity };
            book.deallocate(&line.sku, &Sourced { parts: vec![part], backordered: 0 });
            let movement =
                NewMovement::new(&line.sku, line.quantity, Place::good(warehouse), Place::Customer, "shipped");
            book.move_stock(movement.for_reference("shipment", shipment).at(shipped_at))?;
        }
        self.close_and_tell(conn, book, actor).await?;
        Ok(())
    }

    /// Takes goods back from a customer.
    pub async fn take_back_in_tx(
        &self,
        conn: &mut PgConnection,
        r#return: Uuid,
        lines: &[ReturnLine],
        received_at: Option<Timestamp>,
        actor: Uuid,
    ) -> Result<()> {
        let warehouses: Vec<&str> = lines.iter().map(|line| line.warehouse.as_str()).collect();
        let missing = self.warehouses.pin_in_tx(conn, &warehouses).await?;
        let mut book = self.open(conn, lines.iter().map(|line| line.sku.clone()).collect()).await?;
        let mut faults = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            if missing.contains(&line.warehouse) {
                let detail = format!("there is no warehouse {}", line.warehouse);
                faults.push(Fault::new(format!("/lines/{i}/warehouse"), "unknown", detail));
            }
            if book.item(&line.sku).is_none() {
                let detail = format!("the product {} was deleted: create it again to take it back", line.sku);
                faults.push(Fault::new(format!("/lines/{i}/sku"), "unknown", detail));
            }
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        for line in lines {
            let to = match line.disposition {
                Disposition::Restock => Place::good(&line.warehouse),
                Disposition::Quarantine => Place::in_condition(&line.warehouse, Condition::Quarantined),
                Disposition::Scrap => Place::Scrap,
            };
            let movement = NewMovement::new(&line.sku, line.quantity, Place::Customer, to, "returned");
            book.move_stock(movement.for_reference("return", r#return).at(received_at))?;
        }
        self.close_and_tell(conn, book, actor).await?;
        Ok(())
    }

    /// Sends goods on their way from one warehouse to another.
    pub async fn send_transfer_in_tx(
        &self,
        conn: &mut PgConnection,
        transfer: Uuid,
        from: &str,
        to: &str,
        lines: &[TransferLine],
        actor: Uuid,
    ) -> Result<()> {
        self.warehouses.pin_in_tx(conn, &[from, to]).await?;
        let mut book = self.open(conn, lines.iter().map(|line| line.sku.clone()).collect()).await?;
        let mut short = Vec::new();
        for line in lines {
            let movement = NewMovement::new(&line.sku, line.quantity, Place::good(from), Place::InTransit, "transfer");
            match book.move_stock(movement.for_reference("transfer", transfer)) {
                Ok(()) => book.expect(&line.sku, to, line.quantity),
                Err(Refused::Short { sku, wanted, available, .. }) => short.push(Shortage::of(sku, wanted, available)),
                Err(other) => return Err(other.into()),
            }
        }
        if !short.is_empty() {
            return Err(Error::Insufficient(short));
        }
        self.close_and_tell(conn, book, actor).await?;
        Ok(())
    }

    /// Takes in what arrives of a transfer, and writes off what is lost.
    pub async fn receive_transfer_in_tx(
        &self,
        conn: &mut PgConnection,
        transfer: Uuid,
        to: &str,
        receipts: &[TransferReceipt],
        actor: Uuid,
    ) -> Result<()> {
        self.warehouses.pin_in_tx(conn, &[to]).await?;
        let mut book = self.open(conn, receipts.iter().map(|line| line.sku.clone()).collect()).await?;
        for line in receipts {
            let arrived = (line.quantity, Place::in_condition(to, line.condition), "transfer");
            let lost = (line.lost, Place::Adjustment, "lost");
            for (quantity, place, reason) in [arrived, lost].into_iter().filter(|(quantity, ..)| *quantity > 0) {
                let movement = NewMovement::new(&line.sku, quantity, Place::InTransit, place, reason);
                book.move_stock(movement.for_reference("transfer", transfer))?;
                book.expect(&line.sku, to, -quantity);
            }
        }
        self.close_and_tell(conn, book, actor).await?;
        Ok(())
    }

    /// The answers to what was booked, as things stand after it.
    async fn booked(
        &self,
        conn: &mut PgConnection,
        book: &Book,
        movements: &[Uuid],
        touched: &[(&str, &str)],
        outcomes: Vec<Result<Outcome>>,
    ) -> Result<Vec<Result<Booked>>> {
        let rows = repo::ledger::find(conn, movements).await?;
        let expiries = repo::levels::next_expiries_at(conn, touched, book.now).await?;
        let answers = outcomes.into_iter().zip(touched).map(|(outcome, (sku, warehouse))| {
            let Outcome { movement, before } = outcome?;
            let movement = movement.map(|n| rows[&movements[n]].clone());
            let expiry = expiries.get(&((*sku).to_owned(), (*warehouse).to_owned()));
            let level = level_view(book.directory(), warehouse, &book.level(sku, warehouse), 0, expiry.copied());
            Ok(Booked { movement, level, before })
        });
        Ok(answers.collect())
    }
}

/// Makes one adjustment in the book; false when the quantity is as it should be already.
fn adjust(book: &mut Book, adjustment: &NewAdjustment, missing: &[String]) -> Result<bool> {
    let (sku, code) = (adjustment.sku.0.as_str(), adjustment.warehouse.0.as_str());
    let mut faults = place_faults(book, sku, code, missing);
    faults.extend(form_faults(adjustment, book.now));
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let change = match (adjustment.change, adjustment.set_to, adjustment.expected_on_hand) {
        (Some(change), _, _) => change,
        (None, set_to, expected) => {
            let level = book.level(sku, code);
            let found = match adjustment.condition {
                Condition::Good => level.on_hand,
                other => level.in_condition(other),
            };
            let expected = expected.unwrap_or_default();
            if found != expected {
                return Err(Error::Stale { expected, found });
            }
            set_to.unwrap_or_default() - found
        }
    };
    if change == 0 {
        return Ok(false);
    }
    let here = Place::in_condition(code, adjustment.condition);
    let elsewhere = adjustment.reason.counterpart();
    let (from, to) = if change > 0 { (elsewhere, here) } else { (here, elsewhere) };
    let mut movement = NewMovement::new(sku, change.abs(), from, to, adjustment.reason.as_str());
    movement.note.clone_from(&adjustment.note);
    movement.lot.clone_from(&adjustment.lot);
    movement.effective_at = adjustment.effective_at.map(|at| at.min(book.now));
    book.move_stock(movement)?;
    Ok(true)
}

pub(super) fn place_faults(book: &Book, sku: &str, code: &str, missing: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if book.item(sku).is_none() {
        faults.push(Fault::new("/sku", "unknown", format!("there is no product {sku}")));
    }
    if missing.iter().any(|m| m == code) {
        faults.push(Fault::new("/warehouse", "unknown", format!("there is no warehouse {code}")));
    }
    faults
}

/// What the schema cannot say of an adjustment.
fn form_faults(adjustment: &NewAdjustment, now: Timestamp) -> Vec<Fault> {
    let mut faults = Vec::new();
    match (adjustment.change, adjustment.set_to, adjustment.expected_on_hand) {
        (Some(0), None, None) => faults.push(Fault::new("/change", "zero", "a change of 0 changes nothing")),
        (Some(_), None, None) | (None, Some(_), Some(_)) => {}
        (None, None, _) => faults.push(Fault::new("/change", "required", "either change or set_to is needed")),
        (Some(_), Some(_), _) => faults.push(Fault::new("/set_to", "exclusive", "give change or set_to, not both")),
        (None, Some(_), None) => {
            let detail = "set_to needs expected_on_hand: stock is never set blindly";
            faults.push(Fault::new("/expected_on_hand", "required", detail));
        }
        (Some(_), None, Some(_)) => {
            faults.push(Fault::new("/expected_on_hand", "exclusive", "this goes with set_to, not with change"));
        }
    }
    if adjustment.effective_at.is_some_and(|at| at.is_after(now)) {
        faults.push(Fault::new("/effective_at", "future", "this is in the future"));
    }
    faults
}
