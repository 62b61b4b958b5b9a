//! Schema `reservations`. What still says active but is past its time reads as expired.
//!
//! Where an index is to find rows by their time, the clock stands in a subselect: it is read once, and the
//! index can use it. Where a row's fate is decided, it is read for that row, after its lock was got.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Filter, Reservation, Status};
use crate::platform::clock::Timestamp;
use crate::platform::db::json::from_json;
use crate::platform::db::{Asked, Reads, Writes, add_read, add_write};

struct Row {
    id: Uuid,
    status: String,
    owner: Option<String>,
    channel: Option<String>,
    reference: Option<String>,
    created_at: Timestamp,
    expires_at: Timestamp,
    ended_at: Option<Timestamp>,
    order_id: Option<Uuid>,
    lines: Value,
}

impl TryFrom<Row> for Reservation {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Reservation {
            id: row.id,
            status: Status::parse(&row.status),
            owner: row.owner,
            channel: row.channel,
            reference: row.reference,
            created_at: row.created_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
            order_id: row.order_id,
            lines: from_json(row.lines)?,
        })
    }
}

fn read(rows: Vec<Row>) -> sqlx::Result<Vec<Reservation>> {
    rows.into_iter().map(Reservation::try_from).collect()
}

pub(super) async fn clock(conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!: Timestamp""#).fetch_one(conn).await
}

/// Lets one call at a time count and add to the reservations of an owner; owners in sorted order.
pub(super) fn ask_to_lock_owners(reads: &mut Reads, owners: &[&str]) {
    add_read!(
        reads,
        "SELECT pg_advisory_xact_lock(hashtextextended(owner, 1))::text AS lock
         FROM unnest($1::text[]) AS owner ORDER BY owner",
        [owners as &[&str]],
        |_| Ok(())
    );
}

/// How many reservations owners that are locked have alive; nothing for those who have none.
pub(super) fn ask_how_many_live(reads: &mut Reads, owners: &[&str]) -> Asked<(String, i64)> {
    add_read!(
        reads,
        "SELECT owner, count(*) FROM reservations.reservations
         WHERE owner = ANY ($1) AND status = 'active' AND expires_at > (SELECT clock_timestamp()) GROUP BY owner",
        [owners as &[&str]],
        |row| Ok((row.get(0)?, row.get(1)?))
    )
}

pub(super) fn insert(writes: &mut Writes, made: &[Reservation]) {
    if made.is_empty() {
        return;
    }
    let ids: Vec<Uuid> = made.iter().map(|r| r.id).collect();
    let text = |of: fn(&Reservation) -> Option<&str>| made.iter().map(of).collect::<Vec<Option<&str>>>();
    let lines = made.iter().map(|r| serde_json::to_string(&r.lines).expect("lines are plain data"));
    let lines: Vec<String> = lines.collect();
    let skus: Vec<String> = made.iter().map(Reservation::skus).collect();
    let created: Vec<Timestamp> = made.iter().map(|r| r.created_at).collect();
    let expires: Vec<Timestamp> = made.iter().map(|r| r.expires_at).collect();
    add_write!(
        writes,
        "INSERT INTO reservations.reservations (id, status, owner, channel, reference, lines, skus, created_at, expires_at)
         SELECT id, 'active', owner, channel, reference, lines::jsonb, string_to_array(skus, ' '), created_at, expires_at
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                     $8::timestamptz[])
              AS r (id, owner, channel, reference, lines, skus, created_at, expires_at)",
        &ids,
        &text(|r| r.owner.as_deref()) as &[Option<&str>],
        &text(|r| r.channel.as_deref()) as &[Option<&str>],
        &text(|r| r.reference.as_deref()) as &[Option<&str>],
        &lines,
        &skus,
        &created as &[Timestamp],
        &expires as &[Timestamp]
    );
}

pub(super) fn ask_for(reads: &mut Reads, ids: &[Uuid]) -> Asked<Reservation> {
    add_read!(
        reads,
        "SELECT id, CASE WHEN status = 'active' AND expires_at <= clock_timestamp() THEN 'expired' ELSE status END AS status,
                owner, channel, reference, created_at, expires_at,
                CASE WHEN status = 'active' AND expires_at <= clock_timestamp() THEN expires_at ELSE ended_at END AS ended_at,
                order_id, lines
         FROM reservations.reservations WHERE id = ANY ($1)",
        [ids],
        |row| Reservation::try_from(Row {
            id: row.get(0)?,
            status: row.get(1)?,
            owner: row.get(2)?,
            channel: row.get(3)?,
            reference: row.get(4)?,
            created_at: row.get(5)?,
            expires_at: row.get(6)?,
            ended_at: row.get(7)?,
            order_id: row.get(8)?,
            lines: row.get(9)?,
        })
    )
}

pub(super) async fn find_many(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Reservation>> {
    let mut reads = Reads::default();
    let found = ask_for(&mut reads, ids);
    reads.ask_all(conn).await?.of(&found)
}

/// The newest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Reservation>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, CASE WHEN status = 'active' AND expires_at <= clock_timestamp() THEN 'expired' ELSE status END AS "status!",
                  owner, channel, reference, created_at AS "created_at: Timestamp", expires_at AS "expires_at: Timestamp",
                  CASE WHEN status = 'active' AND expires_at <= clock_timestamp() THEN expires_at ELSE ended_at END
                      AS "ended_at: Timestamp", order_id, lines
           FROM reservations.reservations
           WHERE ($1::text IS NULL OR owner = $1)
             AND ($2::text IS NULL OR (status = $2 AND (status <> 'active' OR expires_at > clock_timestamp()))
                  OR ($2 = 'expired' AND status = 'active' AND expires_at <= clock_timestamp()))
             AND ($3::text IS NULL OR skus @> ARRAY[$3])
             AND ($4::uuid IS NULL OR id < $4)
             AND ($6::text[] IS NULL OR channel = ANY ($6))
           ORDER BY id DESC LIMIT $5"#,
        filter.owner,
        filter.status.map(Status::as_str),
        filter.sku,
        before,
        limit,
        filter.channels.as_deref()
    )
    .fetch_all(conn)
    .await?;
    read(rows)
}

/// Moves the ends of those that are alive, never nearer; returns them.
pub(super) async fn extend(conn: &mut PgConnection, ends: &[(Uuid, Timestamp)]) -> sqlx::Result<Vec<Reservation>> {
    let (ids, ends): (Vec<Uuid>, Vec<Timestamp>) = ends.iter().copied().unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"UPDATE reservations.reservations r SET expires_at = greatest(r.expires_at, e.expires_at)
           FROM unnest($1::uuid[], $2::timestamptz[]) AS e (id, expires_at) WHERE r.id = e.id AND r.status = 'active'
           RETURNING r.id, r.status, r.owner, r.channel, r.reference, r.created_at AS "created_at: Timestamp",
                     r.expires_at AS "expires_at: Timestamp", r.ended_at AS "ended_at: Timestamp", r.order_id, r.lines"#,
        &ids,
        &ends as &[Timestamp]
    )
    .fetch_all(conn)
    .await?;
    read(rows)
}

/// Ends those that are alive; returns them.
pub(super) async fn end(conn: &mut PgConnection, ids: &[Uuid], status: Status) -> sqlx::Result<Vec<Reservation>> {
    let rows = sqlx::query_as!(
        Row,
        r#"UPDATE reservations.reservations SET status = $2, ended_at = clock_timestamp()
           WHERE id = ANY ($1) AND status = 'active' AND expires_at > clock_timestamp()
           RETURNING id, status, owner, channel, reference, created_at AS "created_at: Timestamp",
                     expires_at AS "expires_at: Timestamp", ended_at AS "ended_at: Timestamp", order_id, lines"#,
        ids,
        status.as_str()
    )
    .fetch_all(conn)
    .await?;
    read(rows)
}

/// Ends those whose time is over; returns them.
pub(super) async fn end_expired(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Reservation>> {
    let rows = sqlx::query_as!(
        Row,
        r#"UPDATE reservations.reservations SET status = 'expired', ended_at = expires_at
           WHERE id = ANY ($1) AND status = 'active' AND expires_at <= clock_timestamp()
           RETURNING id, status, owner, channel, reference, created_at AS "created_at: Timestamp",
                     expires_at AS "expires_at: Timestamp", ended_at AS "ended_at: Timestamp", order_id, lines"#,
        ids
    )
    .fetch_all(conn)
    .await?;
    read(rows)
}

/// Ends those that are alive by that moment, each by an order; returns them.
pub(super) async fn commit(
    conn: &mut PgConnection,
    orders: &[(Uuid, Uuid)],
    now: Timestamp,
) -> sqlx::Result<Vec<Reservation>> {
    let (ids, orders): (Vec<Uuid>, Vec<Uuid>) = orders.iter().copied().unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"UPDATE reservations.reservations r SET status = 'committed', ended_at = $3, order_id = c.order_id
           FROM unnest($1::uuid[], $2::uuid[]) AS c (id, order_id)
           WHERE r.id = c.id AND r.status = 'active' AND r.expires_at > $3
           RETURNING r.id, r.status, r.owner, r.channel, r.reference, r.created_at AS "created_at: Timestamp",
                     r.expires_at AS "expires_at: Timestamp", r.ended_at AS "ended_at: Timestamp", r.order_id, r.lines"#,
        &ids,
        &orders,
        now as Timestamp
    )
    .fetch_all(conn)
    .await?;
    read(rows)
}

/// Some of those whose time is over, the longest over first: up to `limit`, and no more than a few
/// thousand lines among them.
pub(super) async fn due(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM (
               SELECT id, sum(jsonb_array_length(lines)) OVER (ORDER BY expires_at, id) - jsonb_array_length(lines) AS before
               FROM (SELECT id, expires_at, lines FROM reservations.reservations
                     WHERE status = 'active' AND expires_at <= (SELECT clock_timestamp())
                     ORDER BY expires_at LIMIT $1) oldest
           ) due WHERE before < 2000"#,
        limit
    )
    .fetch_all(conn)
    .await
}

/// What those that are alive at that time say they hold.
pub(super) async fn held(conn: &mut PgConnection, at: Timestamp) -> sqlx::Result<BTreeMap<(Uuid, String), i64>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, line ->> 'sku' AS "sku!", sum((line ->> 'quantity')::bigint)::bigint AS "quantity!"
           FROM reservations.reservations r CROSS JOIN LATERAL jsonb_array_elements(r.lines) AS line
           WHERE r.status = 'active' AND r.expires_at > $1 GROUP BY r.id, line ->> 'sku'
           HAVING sum((line ->> 'quantity')::bigint) > 0"#,
        at as Timestamp
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.id, row.sku), row.quantity)).collect())
}
