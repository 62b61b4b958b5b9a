//! Schema `platform`: idempotency records.

use axum::http::{HeaderName, StatusCode};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::db::{Asked, Reads, Writes, add_read, add_write};
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
pub(super) fn ask_for(reads: &mut Reads, keys: &[Key<'_>]) -> Asked<Claimed> {
    let callers: Vec<Uuid> = keys.iter().map(|key| key.caller).collect();
    let names: Vec<&str> = keys.iter().map(|key| key.key).collect();
    let locks: Vec<i64> = keys.iter().map(|key| key.lock).collect();
    add_read!(
        reads,
        "SELECT pg_try_advisory_xact_lock(k.lock) AS locked, i.fingerprint, i.status, i.headers, i.body
         FROM unnest($1::uuid[], $2::text[], $3::bigint[]) WITH ORDINALITY AS k (caller, key, lock, n)
         LEFT JOIN platform.idempotency i ON i.caller = k.caller AND i.key = k.key ORDER BY k.n",
        [&callers, &names as &[&str], &locks],
        |row| {
            let Some(status) = row.get(2)? else {
                return Ok(if row.get(0)? { Claimed::Free } else { Claimed::Elsewhere });
            };
            Ok(Claimed::Answered(row.get(1)?, reply(status, row.get(3)?, row.get(4)?)?))
        }
    )
}

/// An answer to be kept under an Idempotency-Key.
pub(super) struct Answered<'a> {
    caller: Uuid,
    key: &'a str,
    fingerprint: &'a [u8],
    status: i16,
    /// JSON
    headers: String,
    body: &'a [u8],
}

impl<'a> Answered<'a> {
    pub(super) fn new(caller: Uuid, key: &'a str, fingerprint: &'a [u8], reply: &'a Reply) -> sqlx::Result<Self> {
        let headers: Vec<(&str, &str)> =
            reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let headers = serde_json::to_string(&headers).map_err(|e| sqlx::Error::Encode(e.into()))?;
        let status = i16::try_from(reply.status.as_u16()).expect("statuses are below 1000");
        Ok(Self { caller, key, fingerprint, status, headers, body: reply.body_to_keep() })
    }
}

/// What is violated by a second answer under a key.
pub(super) const ONE_ANSWER: &str = "idempotency_pkey";

pub(super) fn keep(writes: &mut Writes, answered: &[Answered<'_>]) {
    if answered.is_empty() {
        return;
    }
    let headers: Vec<&str> = answered.iter().map(|a| a.headers.as_str()).collect();
    add_write!(
        writes,
        "INSERT INTO platform.idempotency (caller, key, fingerprint, status, headers, body)
         SELECT caller, key, fingerprint, status, headers::jsonb, body
         FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::smallint[], $5::text[], $6::bytea[])
              AS a (caller, key, fingerprint, status, headers, body)",
        &answered.iter().map(|a| a.caller).collect::<Vec<Uuid>>(),
        &answered.iter().map(|a| a.key).collect::<Vec<&str>>() as &[&str],
        &answered.iter().map(|a| a.fingerprint).collect::<Vec<&[u8]>>() as &[&[u8]],
        &answered.iter().map(|a| a.status).collect::<Vec<i16>>(),
        &headers as &[&str],
        &answered.iter().map(|a| a.body).collect::<Vec<&[u8]>>() as &[&[u8]]
    );
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
