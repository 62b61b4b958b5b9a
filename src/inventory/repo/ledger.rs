//! Reading the ledger.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::inventory::model::views::{AdjustmentReason, MovementView, PlaceView, ReferenceView};
use crate::inventory::observed::{Sighting, Since};
use crate::platform::clock::Timestamp;

struct Row {
    id: Uuid,
    sku: String,
    quantity: i64,
    from_place: String,
    from_warehouse: Option<String>,
    to_place: String,
    to_warehouse: Option<String>,
    reason: String,
    note: Option<String>,
    lot: Option<String>,
    reference_type: Option<String>,
    reference_id: Option<String>,
    actor: Uuid,
    effective_at: Timestamp,
    booked_at: Timestamp,
}

impl From<Row> for MovementView {
    fn from(row: Row) -> Self {
        let reference = row.reference_type.zip(row.reference_id);
        MovementView {
            id: row.id,
            sku: row.sku,
            quantity: row.quantity,
            from: PlaceView { place: row.from_place, warehouse: row.from_warehouse },
            to: PlaceView { place: row.to_place, warehouse: row.to_warehouse },
            reason: row.reason,
            note: row.note,
            lot: row.lot,
            reference: reference.map(|(r#type, id)| ReferenceView { r#type, id }),
            actor: row.actor,
            effective_at: row.effective_at,
            booked_at: row.booked_at,
        }
    }
}

pub async fn find(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashMap<Uuid, MovementView>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, sku, quantity, from_place, from_warehouse, to_place, to_warehouse, reason, note, lot,
                  reference_type, reference_id, actor, effective_at AS "effective_at: Timestamp",
                  booked_at AS "booked_at: Timestamp"
           FROM inventory.movements WHERE id = ANY ($1)"#,
        ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.into())).collect())
}

/// What to list of the ledger.
#[derive(Debug, Default)]
pub struct Filter {
    pub sku: Option<String>,
    /// Into or out of any of these
    pub warehouses: Option<Vec<String>>,
    pub reason: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// The newest first.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<MovementView>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, sku, quantity, from_place, from_warehouse, to_place, to_warehouse, reason, note, lot,
                  reference_type, reference_id, actor, effective_at AS "effective_at: Timestamp",
                  booked_at AS "booked_at: Timestamp"
           FROM inventory.movements
           WHERE ($1::text IS NULL OR sku = $1)
             AND ($2::text[] IS NULL OR from_warehouse = ANY ($2) OR to_warehouse = ANY ($2))
             AND ($3::text IS NULL OR reason = $3)
             AND ($4::timestamptz IS NULL OR booked_at >= $4)
             AND ($5::timestamptz IS NULL OR booked_at < $5)
             AND ($6::uuid IS NULL OR id < $6)
           ORDER BY id DESC LIMIT $7"#,
        filter.sku,
        filter.warehouses.as_deref(),
        filter.reason,
        filter.from as Option<Timestamp>,
        filter.to as Option<Timestamp>,
        before,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(MovementView::from).collect())
}

/// What has moved into and out of the level of each sighting after it, by when the movements happened.
pub async fn since(conn: &mut PgConnection, sightings: &[Sighting]) -> sqlx::Result<HashMap<Sighting, Since>> {
    let skus: Vec<&str> = sightings.iter().map(|s| s.sku.as_str()).collect();
    let warehouses: Vec<&str> = sightings.iter().map(|s| s.warehouse.as_str()).collect();
    let times: Vec<Timestamp> = sightings.iter().map(|s| s.at).collect();
    // Who recounts what is good counts all that is there. What stays within the warehouse, as when goods are found damaged, changes nothing of what is on hand.
    let rows = sqlx::query!(
        r#"SELECT s.n AS "n!",
                  sum(CASE WHEN m.to_warehouse = s.warehouse THEN m.quantity ELSE -m.quantity END)::bigint AS "moved!",
                  bool_or(m.reason = $4 AND 'good' IN (m.from_place, m.to_place)) AS "recounted!"
           FROM unnest($1::text[], $2::text[], $3::timestamptz[]) WITH ORDINALITY AS s (sku, warehouse, at, n)
           JOIN inventory.movements m ON m.sku = s.sku AND m.effective_at > s.at
            AND (m.from_warehouse = s.warehouse OR m.to_warehouse = s.warehouse)
            AND m.from_warehouse IS DISTINCT FROM m.to_warehouse
           GROUP BY s.n"#,
        &skus as &[&str],
        &warehouses as &[&str],
        &times as &[Timestamp],
        AdjustmentReason::Recount.as_str()
    )
    .fetch_all(conn)
    .await?;
    let since = rows.into_iter().filter_map(|row| {
        let sighting = sightings.get(usize::try_from(row.n).ok()?.checked_sub(1)?)?;
        Some((sighting.clone(), Since { moved: row.moved, any: true, recounted: row.recounted }))
    });
    Ok(since.collect())
}
