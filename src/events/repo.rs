//! Schema `events`: the outbox.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::cursor::Past;
use super::{Event, PublishedEvent};
use crate::platform::clock::Timestamp;
use crate::platform::db::{Writes, add_write};

pub(super) fn insert(writes: &mut Writes, ids: &[Uuid], events: &[Event]) {
    let types: Vec<&str> = events.iter().map(|e| e.r#type).collect();
    let subjects: Vec<&str> = events.iter().map(|e| e.subject.as_str()).collect();
    let data: Vec<&str> = events.iter().map(|e| e.data.as_str()).collect();
    add_write!(
        writes,
        "INSERT INTO events.outbox (event_id, type, subject, data)
         SELECT event_id, type, subject, data::jsonb FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
             WITH ORDINALITY AS new (event_id, type, subject, data, n) ORDER BY n",
        ids,
        &types as &[&str],
        &subjects as &[&str],
        &data as &[&str]
    );
}

/// The last id drawn.
pub(super) async fn last_drawn(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT coalesce(pg_sequence_last_value('events.outbox_id_seq'), 0) AS "drawn!""#)
        .fetch_one(conn)
        .await
}

/// A transaction id above those of all who have drawn an id. The message does nothing but make the commit of
/// this statement wait for the disk, and with it for all that was logged before: the ids drawn, and this one.
pub(super) async fn durable_marker(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let row = sqlx::query!(
        r#"SELECT pg_current_xact_id()::text::bigint AS "marker!",
                  pg_logical_emit_message(true, 'stockhold', '')::text AS "logged!""#
    )
    .fetch_one(conn)
    .await?;
    Ok(row.marker)
}

/// Leaves out so many ids.
pub(super) async fn skip_ids(conn: &mut PgConnection, count: i64) -> sqlx::Result<()> {
    sqlx::query!("SELECT setval('events.outbox_id_seq', nextval('events.outbox_id_seq') + $1)", count)
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// Every transaction with a lower id has ended.
pub(super) async fn oldest_in_flight(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "xmin!""#)
        .fetch_one(conn)
        .await
}

struct Row {
    id: i64,
    event_id: Uuid,
    r#type: String,
    subject: String,
    time: Timestamp,
    data: Value,
}

impl From<Row> for PublishedEvent {
    fn from(row: Row) -> Self {
        Self {
            id: row.event_id,
            specversion: "1.0",
            source: "/stockhold",
            r#type: row.r#type,
            time: row.time,
            subject: row.subject,
            sequence: format!("{:020}", row.id),
            data: row.data,
            position: row.id,
        }
    }
}

/// The first events after one position and up to another.
pub(super) async fn read(
    conn: &mut PgConnection,
    after: i64,
    up_to: i64,
    limit: i64,
) -> sqlx::Result<Vec<PublishedEvent>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, event_id, type, subject, time AS "time: Timestamp", data FROM events.outbox
           WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3"#,
        after,
        up_to,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(PublishedEvent::from).collect())
}

/// The same of some types, none of them of stock or of reservations.
pub(super) async fn read_rare(
    conn: &mut PgConnection,
    after: i64,
    up_to: i64,
    types: &[&str],
    limit: i64,
) -> sqlx::Result<Vec<PublishedEvent>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, event_id, type, subject, time AS "time: Timestamp", data FROM events.outbox
           WHERE id > $1 AND id <= $2 AND type = ANY ($4)
             AND type NOT LIKE 'stock.%' AND type NOT LIKE 'reservation.%' ORDER BY id LIMIT $3"#,
        after,
        up_to,
        limit,
        types as &[&str]
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(PublishedEvent::from).collect())
}

/// Whether [`read_rare`] would find any.
pub(super) async fn is_any_rare(conn: &mut PgConnection, after: i64, up_to: i64, types: &[&str]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM events.outbox WHERE id > $1 AND id <= $2 AND type = ANY ($3)
             AND type NOT LIKE 'stock.%' AND type NOT LIKE 'reservation.%') AS "is_any!""#,
        after,
        up_to,
        types as &[&str]
    )
    .fetch_one(conn)
    .await
}

/// Every feed there was.
pub(super) async fn history(conn: &mut PgConnection) -> sqlx::Result<Vec<Past>> {
    sqlx::query_as!(Past, "SELECT id AS feed, ended_at, forgotten_to FROM events.history").fetch_all(conn).await
}

/// Ends the present feed at a position, and begins another.
pub(super) async fn begin_anew(conn: &mut PgConnection, ended_at: i64) -> sqlx::Result<()> {
    sqlx::query!("UPDATE events.history SET ended_at = $1 WHERE ended_at IS NULL", ended_at)
        .execute(&mut *conn)
        .await?;
    // Of 48 bits, so that it is short in a cursor and no two instances share one.
    sqlx::query!(
        "INSERT INTO events.history (id, forgotten_to)
         SELECT ('x' || substr(md5(gen_random_uuid()::text), 1, 12))::bit(48)::bigint, coalesce(max(forgotten_to), 0)
         FROM events.history"
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Who holds the feed back: the processes with the oldest transactions, as Postgres lets us see them.
pub(super) async fn holders(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT format('process %s (%s, %s, since %s)', pid, coalesce(nullif(application_name, ''), 'unnamed'),
                         coalesce(state, 'unknown'), xact_start) AS "holder!"
           FROM pg_stat_activity
           WHERE backend_xid IS NOT NULL AND xact_start < clock_timestamp() - interval '1 second'
           ORDER BY xact_start LIMIT 3"#
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn turn_days(conn: &mut PgConnection, ahead: i32, keep_days: i32) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT events.turn_outbox_days($1, $2) AS "more!""#, ahead, keep_days).fetch_one(conn).await
}

/// Where a follower is, locked. `None`: another server works for it. One that is new begins at `begin`.
pub(super) async fn lock_follower(conn: &mut PgConnection, name: &str, begin: i64) -> sqlx::Result<Option<i64>> {
    let found =
        sqlx::query_scalar!("SELECT position FROM events.followers WHERE name = $1 FOR UPDATE SKIP LOCKED", name)
            .fetch_optional(&mut *conn)
            .await?;
    if found.is_some() {
        return Ok(found);
    }
    sqlx::query_scalar!(
        "INSERT INTO events.followers (name, position) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING position",
        name,
        begin
    )
    .fetch_optional(conn)
    .await
}

pub(super) async fn move_follower(conn: &mut PgConnection, name: &str, position: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO events.followers (name, position) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET position = excluded.position, moved_at = clock_timestamp()",
        name,
        position
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn delete_follower(conn: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM events.followers WHERE name = $1", name).execute(conn).await?;
    Ok(())
}

/// The first position of a time or after it.
pub(super) async fn position_at(conn: &mut PgConnection, time: Timestamp) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("SELECT min(id) FROM events.outbox WHERE time >= $1", time as Timestamp).fetch_one(conn).await
}
