//! The self-check: every invariant, recomputed by the module that owns it, in one snapshot.

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::platform::clock::Timestamp;
use crate::platform::difference::Difference;
use crate::platform::problem::Problem;

/// What the self-check found
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"ok": true, "differences": [], "checked_at": "2026-11-23T09:30:00.000Z"}))]
pub struct Report {
    /// True when there is no difference
    pub ok: bool,
    pub differences: Vec<Difference>,
    pub checked_at: Timestamp,
}

pub async fn run(app: &App) -> Result<Report, Problem> {
    let mut snapshot = app.db.snapshot().await?;
    let mut differences = app.inventory.self_check(&mut snapshot).await?;
    let in_transit = app.transfers.in_transit(&mut snapshot).await?;
    differences.extend(app.inventory.self_check_transit(&mut snapshot, &in_transit).await?);
    let held = app.reservations.held(&mut snapshot).await?;
    differences.extend(app.inventory.self_check_holds(&mut snapshot, &held).await?);
    let open = app.orders.open_quantities(&mut snapshot).await?;
    differences.extend(app.inventory.self_check_claims(&mut snapshot, &open).await?);
    differences.extend(app.orders.self_check(&mut snapshot).await?);
    snapshot.rollback().await?;
    Ok(Report { ok: differences.is_empty(), differences, checked_at: Timestamp::now() })
}
