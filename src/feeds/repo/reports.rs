//! Reports that were taken, and the last counts.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::outcome;
use crate::feeds::model::decide::LastCount;
use crate::feeds::model::report::{MAX_AGE_DAYS, Reported};
use crate::platform::clock::Timestamp;

/// Lets one transaction at a time look up and take the numbers of a device.
pub(in crate::feeds) async fn lock_devices(
    conn: &mut PgConnection,
    source: &str,
    devices: &[&str],
) -> sqlx::Result<()> {
    // By the number that is locked, for two names may have the same.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(key) FROM (
             SELECT DISTINCT hashtextextended($1 || '/' || device, 2) AS key FROM unnest($2::text[]) AS device ORDER BY key
         ) devices",
        source,
        devices as &[&str]
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// A report that was taken.
pub(in crate::feeds) struct Taken {
    pub digest: Vec<u8>,
    pub reported: Reported,
}

/// Those of these numbers that were taken, by device and number.
pub(in crate::feeds) async fn taken(
    conn: &mut PgConnection,
    source: &str,
    numbers: &[(&str, i64)],
) -> sqlx::Result<HashMap<(String, i64), Taken>> {
    let (devices, sequences): (Vec<&str>, Vec<i64>) = numbers.iter().copied().unzip();
    let rows = sqlx::query!(
        "SELECT r.device, r.sequence, r.digest, r.sku, r.warehouse, r.outcome, r.expected, r.found, r.difference,
                r.booked, r.movement_id
         FROM unnest($2::text[], $3::bigint[]) AS n (device, sequence)
         JOIN feeds.reports r ON r.source = $1 AND r.device = n.device AND r.sequence = n.sequence",
        source,
        &devices as &[&str],
        &sequences
    )
    .fetch_all(conn)
    .await?;
    let taken = rows.into_iter().map(|row| {
        let reported = Reported {
            outcome: outcome(&row.outcome)?,
            sku: row.sku,
            warehouse: row.warehouse,
            sequence: Some(row.sequence),
            expected: row.expected,
            found: row.found,
            difference: row.difference,
            booked: row.booked,
            movement_id: row.movement_id,
        };
        Ok(((row.device, row.sequence), Taken { digest: row.digest, reported }))
    });
    taken.collect()
}

/// The last counts of all sources at these places. Read under the locks of the products, it stays true.
pub(in crate::feeds) async fn last_counts(
    conn: &mut PgConnection,
    places: &[(&str, &str)],
) -> sqlx::Result<HashMap<(String, String), Vec<LastCount>>> {
    let (skus, warehouses): (Vec<&str>, Vec<&str>) = places.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"SELECT c.sku, c.warehouse, c.source, c.device, c.sequence, c.counted_at AS "counted_at: Timestamp",
                  c.open
           FROM (SELECT DISTINCT sku, warehouse FROM unnest($1::text[], $2::text[]) AS p (sku, warehouse)) places
           JOIN feeds.counts c ON c.sku = places.sku AND c.warehouse = places.warehouse"#,
        &skus as &[&str],
        &warehouses as &[&str]
    )
    .fetch_all(conn)
    .await?;
    let mut counts: HashMap<(String, String), Vec<LastCount>> = HashMap::new();
    for row in rows {
        let (device, sequence, at) = (row.device, row.sequence, row.counted_at);
        let count = LastCount { source: row.source, device, sequence, at, open: row.open };
        counts.entry((row.sku, row.warehouse)).or_default().push(count);
    }
    Ok(counts)
}

/// A report that is taken now, under its device and its digest.
pub(in crate::feeds) struct Taking<'a> {
    pub device: &'a str,
    pub digest: &'a [u8],
    pub reported: &'a Reported,
}

pub(in crate::feeds) async fn insert(
    conn: &mut PgConnection,
    source: &str,
    now: Timestamp,
    reports: &[Taking<'_>],
) -> sqlx::Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    let text = |of: fn(&Taking<'_>) -> String| reports.iter().map(of).collect::<Vec<String>>();
    let number = |of: fn(&Reported) -> Option<i64>| reports.iter().map(|r| of(r.reported)).collect::<Vec<_>>();
    let digests: Vec<&[u8]> = reports.iter().map(|r| r.digest).collect();
    let movements: Vec<Option<Uuid>> = reports.iter().map(|r| r.reported.movement_id).collect();
    sqlx::query!(
        "INSERT INTO feeds.reports (source, device, sequence, digest, sku, warehouse, outcome, expected, found,
                                    difference, booked, movement_id, received_at)
         SELECT $1, r.*, $2
         FROM unnest($3::text[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::bigint[],
                     $10::bigint[], $11::bigint[], $12::bigint[], $13::uuid[]) AS r",
        source,
        now as Timestamp,
        &text(|r| r.device.to_owned()),
        &number(|r| r.sequence) as &[Option<i64>],
        &digests as &[&[u8]],
        &text(|r| r.reported.sku.clone()),
        &text(|r| r.reported.warehouse.clone()),
        &text(|r| r.reported.outcome.as_str().to_owned()),
        &number(|r| r.expected) as &[Option<i64>],
        &number(|r| r.found) as &[Option<i64>],
        &number(|r| r.difference) as &[Option<i64>],
        &number(|r| Some(r.booked)) as &[Option<i64>],
        &movements as &[Option<Uuid>]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Remembers the newest count of the source at each place.
pub(in crate::feeds) async fn put_counts(
    conn: &mut PgConnection,
    now: Timestamp,
    counts: &[(&(String, String), &LastCount)],
) -> sqlx::Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let skus: Vec<&str> = counts.iter().map(|(place, _)| place.0.as_str()).collect();
    let warehouses: Vec<&str> = counts.iter().map(|(place, _)| place.1.as_str()).collect();
    let sources: Vec<&str> = counts.iter().map(|(_, count)| count.source.as_str()).collect();
    let devices: Vec<&str> = counts.iter().map(|(_, count)| count.device.as_str()).collect();
    let sequences: Vec<Option<i64>> = counts.iter().map(|(_, count)| count.sequence).collect();
    let times: Vec<Timestamp> = counts.iter().map(|(_, count)| count.at).collect();
    let open: Vec<i64> = counts.iter().map(|(_, count)| count.open).collect();
    sqlx::query!(
        "INSERT INTO feeds.counts (sku, warehouse, source, device, sequence, counted_at, open, received_at)
         SELECT c.*, $8
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::bigint[]) AS c
         ON CONFLICT (sku, warehouse, source) DO UPDATE
         SET device = excluded.device, sequence = excluded.sequence, counted_at = excluded.counted_at,
             open = excluded.open, received_at = excluded.received_at",
        &skus as &[&str],
        &warehouses as &[&str],
        &sources as &[&str],
        &devices as &[&str],
        &sequences as &[Option<i64>],
        &times as &[Timestamp],
        &open,
        now as Timestamp
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets up to `limit` reports whose repetition would be refused for its age, and as many counts; returns how many of
/// the more numerous.
pub(in crate::feeds) async fn forget_old(conn: &mut PgConnection, limit: i64) -> sqlx::Result<u64> {
    let days = MAX_AGE_DAYS + 1;
    let reports = sqlx::query!(
        "DELETE FROM feeds.reports WHERE (source, device, sequence) IN (
             SELECT source, device, sequence FROM feeds.reports
             WHERE received_at < (SELECT clock_timestamp() - make_interval(days => $1)) LIMIT $2)",
        days,
        limit
    )
    .execute(&mut *conn)
    .await?;
    let counts = sqlx::query!(
        "DELETE FROM feeds.counts WHERE (sku, warehouse, source) IN (
             SELECT sku, warehouse, source FROM feeds.counts
             WHERE received_at < (SELECT clock_timestamp() - make_interval(days => $1)) LIMIT $2)",
        days,
        limit
    )
    .execute(conn)
    .await?;
    Ok(reports.rows_affected().max(counts.rows_affected()))
}
