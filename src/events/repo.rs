//! Schema `events`: the outbox.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Event, PublishedEvent};
use crate::platform::clock::Timestamp;

pub(super) async fn insert(conn: &mut PgConnection, ids: &[Uuid], events: &[Event]) -> sqlx::Result<()> {
    let types: Vec<&str> = events.iter().map(|e| e.r#type).collect();
    let subjects: Vec<&str> = events.iter().map(|e| e.subject.as_str()).collect();
    let data: Vec<serde_json::Value> = events.iter().map(|e| e.data.clone()).collect();
    sqlx::query!(
        "INSERT INTO events.outbox (event_id, type, subject, data)
         SELECT event_id, type, subject, data FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[])
             WITH ORDINALITY AS new (event_id, type, subject, data, n) ORDER BY n",
        ids,
        &types as &[&str],
        &subjects as &[&str],
        &data
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The last id drawn, and a transaction id above those of all who drew one. The sequence is read
/// first: columns are evaluated from left to right.
pub(super) async fn last_drawn(conn: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT coalesce(pg_sequence_last_value('events.outbox_id_seq'), 0) AS "drawn!",
                  pg_current_xact_id()::text::bigint AS "marker!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.drawn, row.marker))
}

/// Every transaction with a lower id has ended.
pub(super) async fn oldest_in_flight(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "xmin!""#)
        .fetch_one(conn)
        .await
}

pub(super) async fn read(
    conn: &mut PgConnection,
    after: i64,
    up_to: i64,
    limit: i64,
    types: Option<&[String]>,
) -> sqlx::Result<Vec<PublishedEvent>> {
    let rows = sqlx::query!(
        r#"SELECT id, event_id, type, subject, time AS "time: Timestamp", data FROM events.outbox
           WHERE id > $1 AND id <= $2 AND ($4::text[] IS NULL OR type = ANY ($4)) ORDER BY id LIMIT $3"#,
        after,
        up_to,
        limit,
        types
    )
    .fetch_all(conn)
    .await?;
    let published = rows.into_iter().map(|row| PublishedEvent {
        id: row.event_id,
        specversion: "1.0",
        source: "/stockhold",
        r#type: row.r#type,
        time: row.time,
        subject: row.subject,
        sequence: format!("{:020}", row.id),
        data: row.data,
        position: row.id,
    });
    Ok(published.collect())
}
