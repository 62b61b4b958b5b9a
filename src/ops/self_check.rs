//! The self-check: every invariant, recomputed by the module that owns it, in one snapshot.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::carts::Carts;
use crate::inventory::Inventory;
use crate::orders::Orders;
use crate::payments::Payments;
use crate::platform::audit::{self, Actor, Entry};
use crate::platform::clock::Timestamp;
use crate::platform::db::Db;
use crate::platform::difference::Difference;
use crate::platform::problem::Problem;
use crate::reservations::Reservations;
use crate::returns::Returns;
use crate::transfers::Transfers;

/// What the self-check found
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"ok": true, "differences": [], "checked_at": "2026-11-23T09:30:00.000Z"}))]
pub struct Report {
    /// True when there is no difference
    pub ok: bool,
    pub differences: Vec<Difference>,
    pub checked_at: Timestamp,
}

/// Who proves a part.
#[derive(Clone)]
pub struct Parts {
    pub inventory: Inventory,
    pub transfers: Transfers,
    pub reservations: Reservations,
    pub orders: Orders,
    pub carts: Carts,
    pub payments: Payments,
    pub returns: Returns,
}

/// Asks each module to prove its part, and holds the parts against each other.
#[derive(Clone)]
pub struct SelfCheck {
    db: Db,
    parts: Parts,
    turn: Arc<Mutex<()>>,
}

impl SelfCheck {
    pub fn new(db: Db, parts: Parts) -> Self {
        Self { db, parts, turn: Arc::default() }
    }

    pub async fn run(&self) -> Result<Report, Problem> {
        // It reads everything: once at a time is enough.
        let _turn = self.turn.lock().await;
        let mut snapshot = self.db.long_snapshot().await?;
        let Parts { inventory, transfers, reservations, orders, carts, payments, returns } = &self.parts;
        let mut differences = inventory.self_check(&mut snapshot).await?;
        let in_transit = transfers.in_transit(&mut snapshot).await?;
        differences.extend(inventory.self_check_transit(&mut snapshot, &in_transit).await?);
        let (at, held) = reservations.held(&mut snapshot).await?;
        differences.extend(inventory.self_check_holds(&mut snapshot, at, &held).await?);
        differences.extend(carts.self_check(&mut snapshot, &held).await?);
        let open = orders.open_quantities(&mut snapshot).await?;
        differences.extend(inventory.self_check_claims(&mut snapshot, &open).await?);
        differences.extend(orders.self_check(&mut snapshot).await?);
        differences.extend(payments.self_check(&mut snapshot).await?);
        let paid = payments.paid(&mut snapshot).await?;
        differences.extend(orders.self_check_paid(&mut snapshot, &paid).await?);
        let received = returns.received(&mut snapshot).await?;
        differences.extend(orders.self_check_received(&mut snapshot, &received).await?);
        snapshot.rollback().await?;
        Ok(Report { ok: differences.is_empty(), differences, checked_at: Timestamp::now() })
    }

    /// Books what is missing in the ledger, and sets counters to what their records say; tells what was done.
    pub async fn repair(&self) -> Result<Vec<String>, Problem> {
        let mut tx = self.db.begin().await?;
        let done = self.parts.inventory.repair_in_tx(&mut tx).await?;
        let entry = Entry::new(Actor::CommandLine, "stockhold doctor --repair").is(&done);
        audit::record_in_tx(&mut tx, &entry).await?;
        tx.commit().await?;
        Ok(done)
    }
}
