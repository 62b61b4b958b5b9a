//! What is sent, and how it went.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use crate::platform::clock::Timestamp;
use crate::platform::id;
use crate::webhooks::model::{Attempt, Outcome, WebhookDelivery};

/// A message to be sent.
pub struct NewDelivery<'a> {
    pub endpoint: Uuid,
    pub message: Uuid,
    pub r#type: &'a str,
    pub subject: &'a str,
    pub body: &'a str,
}

/// Queues messages, in this order.
pub async fn insert(conn: &mut PgConnection, cause: &str, new: &[NewDelivery<'_>]) -> sqlx::Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = new.iter().map(|_| id::new()).collect();
    sqlx::query!(
        "INSERT INTO webhooks.deliveries (id, endpoint_id, cause, message_id, type, subject, body)
         SELECT id, endpoint, $2, message, type, subject, body
         FROM unnest($1::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[])
              WITH ORDINALITY AS new (id, endpoint, message, type, subject, body, n) ORDER BY n",
        &ids,
        cause,
        &new.iter().map(|d| d.endpoint).collect::<Vec<_>>(),
        &new.iter().map(|d| d.message).collect::<Vec<_>>(),
        &new.iter().map(|d| d.r#type).collect::<Vec<_>>() as &[&str],
        &new.iter().map(|d| d.subject).collect::<Vec<_>>() as &[&str],
        &new.iter().map(|d| d.body).collect::<Vec<_>>() as &[&str]
    )
    .execute(conn)
    .await?;
    Ok(ids)
}

/// Queues a message once more.
pub async fn again(conn: &mut PgConnection, endpoint: Uuid, delivery: Uuid) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "INSERT INTO webhooks.deliveries (id, endpoint_id, cause, message_id, type, subject, body)
         SELECT $3, endpoint_id, 'redelivery', message_id, type, subject, body FROM webhooks.deliveries
         WHERE endpoint_id = $1 AND id = $2 RETURNING id",
        endpoint,
        delivery,
        id::new()
    )
    .fetch_optional(conn)
    .await
}

/// A message whose turn it is, and by which secrets it is signed.
pub struct Due {
    pub id: Uuid,
    pub endpoint: Uuid,
    pub url: String,
    pub secrets: Vec<String>,
    pub message: Uuid,
    pub body: String,
    /// Which attempt this is, from 1
    pub attempt: i32,
}

/// Endpoints for which something is due.
pub async fn waiting(conn: &mut PgConnection) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT e.id FROM webhooks.endpoints e
         WHERE e.disabled_at IS NULL AND EXISTS (
             SELECT FROM webhooks.deliveries d
             WHERE d.endpoint_id = e.id AND d.status = 'pending' AND d.due_at <= statement_timestamp())"
    )
    .fetch_all(conn)
    .await
}

/// Takes what is due for these endpoints, so much of each, for the time of a lease: of a subject only the first that
/// was not delivered. Another server that looks at the same moment takes others. The time is that of the statement, which an
/// index can be asked for.
pub async fn claim(
    conn: &mut PgConnection,
    endpoints: &[Uuid],
    room: &[i64],
    lease: Duration,
) -> sqlx::Result<Vec<Due>> {
    sqlx::query_as!(
        Due,
        r#"WITH due AS MATERIALIZED (
             SELECT next.id FROM unnest($1::uuid[], $2::bigint[]) AS wanted (endpoint, room)
             CROSS JOIN LATERAL (
                 SELECT d.id FROM webhooks.deliveries d
                 WHERE d.endpoint_id = wanted.endpoint AND d.status = 'pending' AND d.due_at <= statement_timestamp()
                   AND NOT EXISTS (SELECT FROM webhooks.deliveries earlier
                                   WHERE earlier.endpoint_id = d.endpoint_id AND earlier.subject = d.subject
                                     AND earlier.status = 'pending' AND earlier.seq < d.seq)
                 ORDER BY d.due_at, d.seq LIMIT wanted.room FOR NO KEY UPDATE SKIP LOCKED) next
           )
           UPDATE webhooks.deliveries d SET attempts = attempts + 1, due_at = clock_timestamp() + $3
           FROM webhooks.endpoints e
           WHERE d.id = ANY (ARRAY(SELECT id FROM due)) AND e.id = d.endpoint_id
           RETURNING d.id, d.endpoint_id AS endpoint, e.url,
                     array_remove(ARRAY[e.secret, CASE WHEN e.previous_until > clock_timestamp() THEN e.previous_secret END],
                                  NULL) AS "secrets!",
                     d.message_id AS message, d.body, d.attempts AS attempt"#,
        endpoints,
        room,
        interval(lease)
    )
    .fetch_all(conn)
    .await
}

/// What follows from an attempt: for how long its endpoint has been failing, in seconds.
pub async fn record(
    conn: &mut PgConnection,
    due: &Due,
    outcome: &Outcome,
    wait: Duration,
    give_up: Duration,
) -> sqlx::Result<Option<f64>> {
    let row = sqlx::query!(
        r#"WITH attempt AS (
             INSERT INTO webhooks.attempts (delivery_id, n, milliseconds, status, answer, error)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
           ), delivery AS (
             -- Of an attempt that took longer than its lease, another may have taken the place.
             UPDATE webhooks.deliveries
             SET status = CASE WHEN $7 THEN 'delivered' WHEN created_at < clock_timestamp() - $9::interval THEN 'failed'
                               ELSE 'pending' END,
                 ended_at = CASE WHEN $7 OR created_at < clock_timestamp() - $9::interval THEN clock_timestamp() END,
                 due_at = clock_timestamp() + $8::interval
             WHERE id = $1 AND status = 'pending' AND (attempts = $2 OR $7)
           ), endpoint AS (
             UPDATE webhooks.endpoints SET failing_since = CASE WHEN $7 THEN NULL ELSE clock_timestamp() END
             WHERE id = $10 AND (failing_since IS NULL) <> $7
           )
           SELECT extract(epoch FROM clock_timestamp() - failing_since)::float8 AS failing
           FROM webhooks.endpoints WHERE id = $10"#,
        due.id,
        due.attempt,
        outcome.milliseconds,
        outcome.status,
        outcome.answer,
        outcome.error,
        outcome.is_delivered(),
        interval(wait),
        interval(give_up),
        due.endpoint
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| row.failing))
}

fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}

/// The newest first, those made before `before`.
pub async fn list(
    conn: &mut PgConnection,
    endpoint: Uuid,
    status: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<WebhookDelivery>> {
    sqlx::query_as!(
        WebhookDelivery,
        r#"SELECT id, cause, message_id, type, subject, status, attempts, created_at AS "created_at: Timestamp",
                  CASE WHEN status = 'pending' THEN due_at END AS "due_at: Timestamp", ended_at AS "ended_at: Timestamp"
           FROM webhooks.deliveries
           WHERE endpoint_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::uuid IS NULL OR id < $3)
           ORDER BY id DESC LIMIT $4"#,
        endpoint,
        status,
        before,
        limit
    )
    .fetch_all(conn)
    .await
}

pub async fn find(
    conn: &mut PgConnection,
    endpoint: Uuid,
    id: Uuid,
) -> sqlx::Result<Option<(WebhookDelivery, String)>> {
    let row = sqlx::query!(
        r#"SELECT id, cause, message_id, type, subject, body, status, attempts, created_at AS "created_at: Timestamp",
                  CASE WHEN status = 'pending' THEN due_at END AS "due_at: Timestamp", ended_at AS "ended_at: Timestamp"
           FROM webhooks.deliveries WHERE endpoint_id = $1 AND id = $2"#,
        endpoint,
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let delivery = WebhookDelivery {
            id: row.id,
            cause: row.cause,
            message_id: row.message_id,
            r#type: row.r#type,
            subject: row.subject,
            status: row.status,
            attempts: row.attempts,
            created_at: row.created_at,
            due_at: row.due_at,
            ended_at: row.ended_at,
        };
        (delivery, row.body)
    }))
}

pub async fn attempts(conn: &mut PgConnection, delivery: Uuid) -> sqlx::Result<Vec<Attempt>> {
    sqlx::query_as!(
        Attempt,
        r#"SELECT n, time AS "time: Timestamp", milliseconds, status, answer, error
           FROM webhooks.attempts WHERE delivery_id = $1 ORDER BY n"#,
        delivery
    )
    .fetch_all(conn)
    .await
}

/// Deletes some of what ended longer ago. Returns how many.
pub async fn forget(conn: &mut PgConnection, days: i32, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM webhooks.deliveries WHERE id IN (
             SELECT id FROM webhooks.deliveries WHERE ended_at < clock_timestamp() - make_interval(days => $1)
             ORDER BY ended_at LIMIT $2)",
        days,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
