//! Discrepancies.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use super::outcome;
use crate::feeds::model::discrepancy::{Discrepancy, Filter};
use crate::platform::clock::Timestamp;

struct Row {
    id: Uuid,
    source: String,
    device: String,
    sequence: Option<i64>,
    sku: String,
    warehouse: String,
    outcome: String,
    reported_at: Timestamp,
    received_at: Timestamp,
    expected: Option<i64>,
    found: Option<i64>,
    difference: i64,
    booked: i64,
    open: i64,
    movement_id: Option<Uuid>,
    reason: String,
    note: Option<String>,
}

impl TryFrom<Row> for Discrepancy {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            source: row.source,
            device: (!row.device.is_empty()).then_some(row.device),
            sequence: row.sequence,
            sku: row.sku,
            warehouse: row.warehouse,
            outcome: outcome(&row.outcome)?,
            reported_at: row.reported_at,
            received_at: row.received_at,
            expected: row.expected,
            found: row.found,
            difference: row.difference,
            booked: row.booked,
            open: row.open,
            movement_id: row.movement_id,
            reason: row.reason,
            note: row.note,
        })
    }
}

/// The newest first.
pub(in crate::feeds) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Discrepancy>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, source, device, sequence, sku, warehouse, outcome, reported_at AS "reported_at: Timestamp",
                  received_at AS "received_at: Timestamp", expected, found, difference, booked, open, movement_id, reason,
                  note
           FROM feeds.discrepancies
           WHERE source = $1 AND ($2::text IS NULL OR sku = $2)
             AND ($3::text[] IS NULL OR warehouse = ANY ($3))
             AND ($4::timestamptz IS NULL OR received_at >= $4)
             AND ($5::timestamptz IS NULL OR received_at < $5)
             AND ($6::boolean IS NULL OR (open <> 0) = $6)
             AND ($7::uuid IS NULL OR id < $7)
           ORDER BY id DESC LIMIT $8"#,
        filter.source,
        filter.sku,
        filter.warehouses.as_deref(),
        filter.from as Option<Timestamp>,
        filter.to as Option<Timestamp>,
        filter.open,
        before,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Discrepancy::try_from).collect()
}

/// Writes those that are new, and tells which they are: a refused change stands there once, however often it comes.
pub(in crate::feeds) async fn insert(conn: &mut PgConnection, found: &[Discrepancy]) -> sqlx::Result<HashSet<Uuid>> {
    if found.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Uuid> = found.iter().map(|d| d.id).collect();
    let text = |of: fn(&Discrepancy) -> Option<&str>| found.iter().map(of).collect::<Vec<Option<&str>>>();
    let number = |of: fn(&Discrepancy) -> Option<i64>| found.iter().map(of).collect::<Vec<Option<i64>>>();
    let time = |of: fn(&Discrepancy) -> Timestamp| found.iter().map(of).collect::<Vec<Timestamp>>();
    let movements: Vec<Option<Uuid>> = found.iter().map(|d| d.movement_id).collect();
    let new = sqlx::query_scalar!(
        "INSERT INTO feeds.discrepancies (id, source, device, sequence, sku, warehouse, outcome, reported_at,
                                          received_at, expected, found, difference, booked, open, movement_id, reason,
                                          note)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                              $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::bigint[], $12::bigint[],
                              $13::bigint[], $14::bigint[], $15::uuid[], $16::text[], $17::text[])
         ON CONFLICT (source, device, sequence) WHERE outcome = 'refused' DO NOTHING RETURNING id",
        &ids,
        &text(|d| Some(&d.source)) as &[Option<&str>],
        &text(|d| Some(d.device.as_deref().unwrap_or_default())) as &[Option<&str>],
        &number(|d| d.sequence) as &[Option<i64>],
        &text(|d| Some(&d.sku)) as &[Option<&str>],
        &text(|d| Some(&d.warehouse)) as &[Option<&str>],
        &text(|d| Some(d.outcome.as_str())) as &[Option<&str>],
        &time(|d| d.reported_at) as &[Timestamp],
        &time(|d| d.received_at) as &[Timestamp],
        &number(|d| d.expected) as &[Option<i64>],
        &number(|d| d.found) as &[Option<i64>],
        &number(|d| Some(d.difference)) as &[Option<i64>],
        &number(|d| Some(d.booked)) as &[Option<i64>],
        &number(|d| Some(d.open)) as &[Option<i64>],
        &movements as &[Option<Uuid>],
        &text(|d| Some(&d.reason)) as &[Option<&str>],
        &text(|d| d.note.as_deref()) as &[Option<&str>]
    )
    .fetch_all(conn)
    .await?;
    Ok(new.into_iter().collect())
}

/// A change that was refused before, perhaps, and is done with now.
pub(in crate::feeds) struct Settled<'a> {
    pub device: &'a str,
    pub sequence: i64,
    pub sku: &'a str,
    pub warehouse: &'a str,
    pub outcome: &'static str,
    pub booked: i64,
    pub movement_id: Option<Uuid>,
}

/// Those that were refused are so no more.
pub(in crate::feeds) async fn settle(
    conn: &mut PgConnection,
    source: &str,
    settled: &[Settled<'_>],
) -> sqlx::Result<()> {
    if settled.is_empty() {
        return Ok(());
    }
    let text = |of: fn(&Settled<'_>) -> String| settled.iter().map(of).collect::<Vec<String>>();
    let sequences: Vec<i64> = settled.iter().map(|s| s.sequence).collect();
    let booked: Vec<i64> = settled.iter().map(|s| s.booked).collect();
    let movements: Vec<Option<Uuid>> = settled.iter().map(|s| s.movement_id).collect();
    // Another report may have come under the number than the one that was refused: that one stays open.
    sqlx::query!(
        "UPDATE feeds.discrepancies d SET outcome = s.outcome, booked = s.booked, open = 0, movement_id = s.movement_id
         FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::uuid[])
              AS s (device, sequence, sku, warehouse, outcome, booked, movement_id)
         WHERE d.source = $1 AND d.device = s.device AND d.sequence = s.sequence AND d.outcome = 'refused'
           AND d.sku = s.sku AND d.warehouse = s.warehouse AND s.booked IN (0, d.difference)",
        source,
        &text(|s| s.device.to_owned()),
        &sequences,
        &text(|s| s.sku.to_owned()),
        &text(|s| s.warehouse.to_owned()),
        &text(|s| s.outcome.to_owned()),
        &booked,
        &movements as &[Option<Uuid>]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A count that was taken of a place, the newest of a batch.
pub(in crate::feeds) struct Overtaking<'a> {
    pub sku: &'a str,
    pub warehouse: &'a str,
    pub at: Timestamp,
    /// Whether it says something else of what is open than the counts before
    pub anew: bool,
    /// The discrepancy in which it says so
    pub said_in: Option<Uuid>,
}

/// What was open at these places is so no more: counts are overtaken, and a change that was refused has been seen.
pub(in crate::feeds) async fn overtake(conn: &mut PgConnection, counts: &[Overtaking<'_>]) -> sqlx::Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let skus: Vec<&str> = counts.iter().map(|c| c.sku).collect();
    let warehouses: Vec<&str> = counts.iter().map(|c| c.warehouse).collect();
    let times: Vec<Timestamp> = counts.iter().map(|c| c.at).collect();
    let anew: Vec<bool> = counts.iter().map(|c| c.anew).collect();
    let said_in: Vec<Option<Uuid>> = counts.iter().map(|c| c.said_in).collect();
    sqlx::query!(
        "UPDATE feeds.discrepancies d
         SET open = 0, outcome = CASE WHEN d.outcome = 'refused' THEN 'contained' ELSE d.outcome END
         FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[], $5::uuid[])
              AS c (sku, warehouse, at, anew, said_in)
         WHERE d.sku = c.sku AND d.warehouse = c.warehouse AND d.open <> 0
           AND CASE WHEN d.outcome = 'refused' THEN d.reported_at <= c.at
                    ELSE c.anew AND d.id IS DISTINCT FROM c.said_in END",
        &skus as &[&str],
        &warehouses as &[&str],
        &times as &[Timestamp],
        &anew,
        &said_in as &[Option<Uuid>]
    )
    .execute(conn)
    .await?;
    Ok(())
}
