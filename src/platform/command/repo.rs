//! Schema `platform`: idempotency records.

use axum::http::{HeaderName, StatusCode};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::reply::Reply;

/// False when another transaction holds the lock.
pub(super) async fn try_lock(conn: &mut PgConnection, number: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "locked!""#, number).fetch_one(conn).await
}

/// The fingerprint of the request that used the key, and its answer.
pub(super) async fn find(conn: &mut PgConnection, caller: Uuid, key: &str) -> sqlx::Result<Option<(Vec<u8>, Reply)>> {
    let row = sqlx::query!(
        "SELECT fingerprint, status, headers, body FROM platform.idempotency WHERE caller = $1 AND key = $2",
        caller,
        key
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let headers: Vec<(String, String)> =
            serde_json::from_value(row.headers).map_err(|e| sqlx::Error::Decode(e.into()))?;
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value)));
        let status = u16::try_from(row.status).ok().and_then(|s| StatusCode::from_u16(s).ok());
        let status = status.ok_or_else(|| sqlx::Error::Decode("a stored status is out of range".into()))?;
        Ok((row.fingerprint, Reply { status, headers: headers.collect(), body: row.body.into() }))
    })
    .transpose()
}

/// False when the key has an answer already.
pub(super) async fn store(
    conn: &mut PgConnection,
    caller: Uuid,
    key: &str,
    fingerprint: &[u8],
    reply: &Reply,
) -> sqlx::Result<bool> {
    let headers: Vec<(&str, &str)> =
        reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let headers = serde_json::to_value(headers).map_err(|e| sqlx::Error::Encode(e.into()))?;
    let status = i16::try_from(reply.status.as_u16()).expect("statuses are below 1000");
    let done = sqlx::query!(
        "INSERT INTO platform.idempotency (caller, key, fingerprint, status, headers, body)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        caller,
        key,
        fingerprint,
        status,
        headers,
        &reply.body[..]
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets up to `limit` records older than `hours`; returns how many.
pub async fn forget_old(conn: &mut PgConnection, hours: i32, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM platform.idempotency WHERE (caller, key) IN (
             SELECT caller, key FROM platform.idempotency
             WHERE created_at < (SELECT clock_timestamp() - make_interval(hours => $1)) LIMIT $2)",
        hours,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
