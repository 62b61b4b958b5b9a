//! API keys.

use sqlx::PgConnection;
use uuid::Uuid;

use super::scopes;
use crate::access::key::{Key, KeyStatus, NewKey};
use crate::access::limits::Limits;
use crate::access::{Principal, Result};
use crate::platform::clock::Timestamp;
use crate::platform::page::PageRequest;
use crate::platform::{Caller, CallerKind};

/// One at a time may make or take away keys that matter to others: two servers at their first start, two
/// administrators who revoke each other's key.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE access.keys IN SHARE ROW EXCLUSIVE MODE").execute(conn).await?;
    Ok(())
}

pub async fn any_key(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM access.keys WHERE revoked_at IS NULL) AS "any!""#)
        .fetch_one(conn)
        .await
}

/// Whether anybody but this key could still make keys.
pub async fn other_admin(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM access.keys
               WHERE id <> $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
                 AND 'admin:write' = ANY (scopes) AND warehouses IS NULL AND channels IS NULL) AS "any!""#,
        id
    )
    .fetch_one(conn)
    .await
}

/// False when a key of that secret is there already: it stays as it is.
pub async fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    key: &NewKey,
    public_id: Option<&str>,
    hash: &[u8],
    created_by: &str,
) -> sqlx::Result<bool> {
    let scopes: Vec<String> = key.scopes.iter().map(ToString::to_string).collect();
    let done = sqlx::query!(
        "INSERT INTO access.keys (id, name, public_id, hash, scopes, warehouses, channels, expires_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (hash) DO NOTHING",
        id,
        key.name,
        public_id,
        hash,
        &scopes,
        key.warehouses.as_deref(),
        key.channels.as_deref(),
        key.expires_at as Option<Timestamp>,
        created_by
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whoever a digest opens for, and whether the use of the key is to be noted (once a minute).
pub async fn find(conn: &mut PgConnection, hash: &[u8]) -> sqlx::Result<Option<(Principal, bool)>> {
    let row = sqlx::query!(
        r#"SELECT id, name, scopes, warehouses, channels,
                  (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute') AS "stale!"
           FROM access.keys
           WHERE (hash = $1 OR (previous_hash = $1 AND previous_until > clock_timestamp()))
             AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())"#,
        hash
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let principal = Principal {
            caller: Caller { id: row.id, kind: CallerKind::Key, name: row.name.into() },
            scopes: scopes(&row.scopes).into(),
            limits: Limits::new(row.warehouses.unwrap_or_default(), row.channels.unwrap_or_default()).into(),
            session: None,
        };
        (principal, row.stale)
    }))
}

pub async fn note_use(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("UPDATE access.keys SET last_used_at = clock_timestamp() WHERE id = $1", id).execute(conn).await?;
    Ok(())
}

struct Row {
    id: Uuid,
    name: String,
    public_id: Option<String>,
    scopes: Vec<String>,
    warehouses: Option<Vec<String>>,
    channels: Option<Vec<String>>,
    status: String,
    created_at: Timestamp,
    created_by: String,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    previous_until: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl From<Row> for Key {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            public_id: row.public_id,
            scopes: scopes(&row.scopes),
            warehouses: row.warehouses,
            channels: row.channels,
            status: match row.status.as_str() {
                "revoked" => KeyStatus::Revoked,
                "expired" => KeyStatus::Expired,
                _ => KeyStatus::Active,
            },
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            previous_secret_until: row.previous_until,
            revoked_at: row.revoked_at,
        }
    }
}

/// The newest first.
pub async fn list(
    conn: &mut PgConnection,
    page: &PageRequest<Uuid>,
    status: Option<KeyStatus>,
    id: Option<Uuid>,
) -> sqlx::Result<Vec<Key>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT * FROM (
               SELECT id, name, public_id, scopes, warehouses, channels,
                      CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                           WHEN expires_at <= clock_timestamp() THEN 'expired' ELSE 'active' END AS "status!",
                      created_at AS "created_at: Timestamp", created_by, expires_at AS "expires_at: Timestamp",
                      last_used_at AS "last_used_at: Timestamp",
                      CASE WHEN previous_until > clock_timestamp() THEN previous_until END AS "previous_until: Timestamp",
                      revoked_at AS "revoked_at: Timestamp"
               FROM access.keys) AS keys
           WHERE ($1::uuid IS NULL OR id < $1) AND ($2::text IS NULL OR "status!" = $2) AND ($3::uuid IS NULL OR id = $3)
           ORDER BY id DESC LIMIT $4"#,
        page.after,
        status.map(KeyStatus::as_str),
        id,
        page.fetch()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Key::from).collect())
}

pub async fn get(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Key>> {
    Ok(list(conn, &PageRequest { limit: 1, after: None }, None, Some(id)).await?.pop())
}

/// A new secret; the one before it opens for a while longer, and the one before that no more.
pub async fn rotate(conn: &mut PgConnection, id: Uuid, hash: &[u8], overlap: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE access.keys SET previous_hash = hash, hash = $2,
                previous_until = clock_timestamp() + make_interval(secs => $3::bigint::double precision)
         WHERE id = $1",
        id,
        hash,
        overlap
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn revoke(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("UPDATE access.keys SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL", id)
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn is_past(conn: &mut PgConnection, time: Timestamp) -> Result<bool> {
    let past = sqlx::query_scalar!(r#"SELECT $1 <= clock_timestamp() AS "past!""#, time as Timestamp);
    Ok(past.fetch_one(conn).await?)
}
