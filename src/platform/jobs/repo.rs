//! Schema `platform`: jobs. Each function is one statement.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::model::{Job, JobDetail, NewJob};
use crate::platform::clock::Timestamp;
use crate::platform::id;

/// Makes jobs. Of a key for which one waits already none is made, and the one that waits can end only after the caller's
/// transaction has. In the order of their keys, so that no two callers wait for each other.
pub(super) async fn insert(conn: &mut PgConnection, new: &[NewJob]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = new.iter().map(|_| id::new()).collect();
    sqlx::query!(
        "INSERT INTO platform.jobs (id, kind, key, payload, run_at, max_attempts)
         SELECT DISTINCT ON (kind, coalesce(key, id::text)) id, kind, key, payload, clock_timestamp() + after, max_attempts
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::interval[], $6::int[])
              AS new (id, kind, key, payload, after, max_attempts)
         ORDER BY kind, coalesce(key, id::text), id
         ON CONFLICT (kind, key) WHERE status = 'pending' AND key IS NOT NULL DO UPDATE SET key = EXCLUDED.key",
        &ids,
        &new.iter().map(|job| job.kind).collect::<Vec<_>>() as &[&str],
        &new.iter().map(|job| job.key.clone()).collect::<Vec<_>>() as &[Option<String>],
        &new.iter().map(|job| job.payload.clone()).collect::<Vec<_>>(),
        &new.iter().map(|job| interval(job.after)).collect::<Vec<_>>(),
        &new.iter().map(|job| job.max_attempts).collect::<Vec<_>>()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A job whose turn it is.
pub(super) struct Due {
    pub id: Uuid,
    pub kind: String,
    pub payload: Value,
    pub attempt: i32,
    pub max_attempts: i32,
    pub fence: i64,
}

/// How much of a kind may be taken, and for how long.
pub(super) struct Room {
    pub kind: &'static str,
    pub room: i64,
    pub lease: Duration,
}

/// Takes what is due for the time of a lease. Another server that looks at the same moment takes others.
pub(super) async fn claim(conn: &mut PgConnection, rooms: &[Room]) -> sqlx::Result<Vec<Due>> {
    sqlx::query_as!(
        Due,
        r#"WITH wanted AS (
             SELECT kind, room, lease FROM unnest($1::text[], $2::bigint[], $3::interval[]) AS wanted (kind, room, lease)
           ), due AS MATERIALIZED (
             SELECT next.id FROM wanted CROSS JOIN LATERAL (
                 -- The time in a subselect is one for the statement, so what is not due is not gone through.
                 SELECT j.id FROM platform.jobs j
                 WHERE j.kind = wanted.kind AND j.status = 'pending' AND j.run_at <= (SELECT clock_timestamp())
                 ORDER BY j.run_at LIMIT wanted.room FOR NO KEY UPDATE SKIP LOCKED) next
           )
           UPDATE platform.jobs j
           SET attempts = attempts + 1, fence = fence + 1, claimed_at = clock_timestamp(),
               run_at = clock_timestamp() + wanted.lease
           FROM wanted WHERE j.id = ANY (ARRAY(SELECT id FROM due)) AND wanted.kind = j.kind
           RETURNING j.id, j.kind, j.payload, j.attempts AS attempt, j.max_attempts, j.fence"#,
        &rooms.iter().map(|room| room.kind).collect::<Vec<_>>() as &[&str],
        &rooms.iter().map(|room| room.room).collect::<Vec<_>>(),
        &rooms.iter().map(|room| interval(room.lease)).collect::<Vec<_>>()
    )
    .fetch_all(conn)
    .await
}

/// Ends a job that is still the caller's: says whether it was.
pub(super) async fn finish(conn: &mut PgConnection, id: Uuid, fence: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE platform.jobs SET status = 'done', ended_at = clock_timestamp(), claimed_at = NULL, last_error = NULL
         WHERE id = $1 AND fence = $2 AND status = 'pending'",
        id,
        fence
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a job was ended by this attempt.
pub(super) async fn is_done(conn: &mut PgConnection, id: Uuid, fence: i64) -> sqlx::Result<bool> {
    let sql = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM platform.jobs WHERE id = $1 AND fence = $2 AND status = 'done') AS "is!""#,
        id,
        fence
    );
    sql.fetch_one(conn).await
}

/// Lets a job wait for its next attempt, or gives it up. None where it is no longer the caller's.
pub(super) async fn fail(
    conn: &mut PgConnection,
    due: &Due,
    error: &str,
    wait: Duration,
    is_final: bool,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "UPDATE platform.jobs
         SET status = CASE WHEN $4 THEN 'dead' ELSE 'pending' END, ended_at = CASE WHEN $4 THEN clock_timestamp() END,
             run_at = clock_timestamp() + $5::interval, claimed_at = NULL, last_error = $3
         WHERE id = $1 AND fence = $2 AND status = 'pending' RETURNING status",
        due.id,
        due.fence,
        error,
        is_final,
        interval(wait)
    )
    .fetch_optional(conn)
    .await
}

pub(super) fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}

/// The newest first, those made before `before`.
pub(super) async fn list(
    conn: &mut PgConnection,
    status: Option<&str>,
    kind: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Job>> {
    sqlx::query_as!(
        Job,
        r#"SELECT id, kind, key, status, coalesce(claimed_at IS NOT NULL AND run_at > clock_timestamp(), false) AS "under_way!",
                  attempts, max_attempts, last_error, CASE WHEN status = 'pending' THEN run_at END AS "run_at: Timestamp",
                  created_at AS "created_at: Timestamp", ended_at AS "ended_at: Timestamp"
           FROM platform.jobs
           WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::uuid IS NULL OR id < $3)
           ORDER BY id DESC LIMIT $4"#,
        status,
        kind,
        before,
        limit
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<JobDetail>> {
    let row = sqlx::query!(
        r#"SELECT id, kind, key, payload, status,
                  coalesce(claimed_at IS NOT NULL AND run_at > clock_timestamp(), false) AS "under_way!",
                  attempts, max_attempts, last_error, CASE WHEN status = 'pending' THEN run_at END AS "run_at: Timestamp",
                  created_at AS "created_at: Timestamp", ended_at AS "ended_at: Timestamp"
           FROM platform.jobs WHERE id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| JobDetail {
        job: Job {
            id: row.id,
            kind: row.kind,
            key: row.key,
            status: row.status,
            under_way: row.under_way,
            attempts: row.attempts,
            max_attempts: row.max_attempts,
            last_error: row.last_error,
            run_at: row.run_at,
            created_at: row.created_at,
            ended_at: row.ended_at,
        },
        payload: row.payload,
    }))
}

/// Waits for whoever changes the job just now.
pub(super) async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM platform.jobs WHERE id = $1 FOR NO KEY UPDATE", id).execute(conn).await?;
    Ok(())
}

/// Makes a job due now, with all its attempts. Not where another of its key waits: says whether it was done.
pub(super) async fn retry(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE platform.jobs j SET status = 'pending', ended_at = NULL, attempts = 0, run_at = clock_timestamp(), claimed_at = NULL
         WHERE id = $1 AND NOT EXISTS (SELECT FROM platform.jobs other
                                       WHERE other.kind = j.kind AND other.key = j.key AND other.status = 'pending'
                                         AND other.id <> j.id)",
        id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn cancel(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE platform.jobs SET status = 'cancelled', ended_at = clock_timestamp(), claimed_at = NULL WHERE id = $1",
        id
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn count_pending(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM platform.jobs WHERE status = 'pending'"#)
        .fetch_one(conn)
        .await
}

/// Deletes some of what ended longer ago. Returns how many.
pub(super) async fn forget(conn: &mut PgConnection, days: i32, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM platform.jobs WHERE id IN (
             SELECT id FROM platform.jobs WHERE ended_at < clock_timestamp() - make_interval(days => $1)
             ORDER BY ended_at LIMIT $2)",
        days,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
