//! Schema `platform`: idempotency records.

use axum::http::{HeaderName, StatusCode};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::reply::Reply;

/// A caller's key, and the advisory lock that stands for it.
pub(super) struct Key<'a> {
    pub caller: Uuid,
    pub key: &'a str,
    pub lock: i64,
}

/// How it stands with a key.
pub(super) enum Claimed {
    /// It is this transaction's now
    Free,
    /// Another transaction has it
    Elsewhere,
    /// The fingerprint of the request that used it, and its answer
    Answered(Vec<u8>, Reply),
}

/// Takes these keys until the transaction ends, and looks for answers under them. An answer that is committed between
/// the look and the lock is missed here; whoever stores another under the key finds it then.
pub(super) async fn claim(conn: &mut PgConnection, keys: &[Key<'_>]) -> sqlx::Result<Vec<Claimed>> {
    let callers: Vec<Uuid> = keys.iter().map(|key| key.caller).collect();
    let names: Vec<&str> = keys.iter().map(|key| key.key).collect();
    let locks: Vec<i64> = keys.iter().map(|key| key.lock).collect();
    let rows = sqlx::query!(
        r#"SELECT pg_try_advisory_xact_lock(k.lock) AS "locked!", i.fingerprint AS "fingerprint?", i.status AS "status?",
                  i.headers AS "headers?", i.body AS "body?"
           FROM unnest($1::uuid[], $2::text[], $3::bigint[]) WITH ORDINALITY AS k (caller, key, lock, n)
           LEFT JOIN platform.idempotency i ON i.caller = k.caller AND i.key = k.key ORDER BY k.n"#,
        &callers,
        &names as &[&str],
        &locks
    )
    .fetch_all(conn)
    .await?;
    let claimed = rows.into_iter().map(|row| {
        if let (Some(fingerprint), Some(status), Some(headers)) = (row.fingerprint, row.status, row.headers) {
            return Ok(Claimed::Answered(fingerprint, reply(status, headers, row.body.unwrap_or_default())?));
        }
        Ok(if row.locked { Claimed::Free } else { Claimed::Elsewhere })
    });
    claimed.collect()
}

fn reply(status: i16, headers: serde_json::Value, body: Vec<u8>) -> sqlx::Result<Reply> {
    let headers: Vec<(String, String)> = serde_json::from_value(headers).map_err(|e| sqlx::Error::Decode(e.into()))?;
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value)));
    let status = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok());
    let status = status.ok_or_else(|| sqlx::Error::Decode("a stored status is out of range".into()))?;
    Ok(Reply::new(status, headers.collect(), body.into()))
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
