//! Schema `access`: API keys.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::Caller;

/// Locks the table first, so that of two servers starting at once one makes the key.
pub(super) async fn any_key_locked(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query!("LOCK TABLE access.keys IN SHARE ROW EXCLUSIVE MODE").execute(&mut *conn).await?;
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM access.keys WHERE revoked_at IS NULL) AS "any!""#)
        .fetch_one(conn)
        .await
}

/// A key that is there already stays as it is.
pub(super) async fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    name: &str,
    hash: &[u8],
    scopes: &[String],
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO access.keys (id, name, hash, scopes) VALUES ($1, $2, $3, $4) ON CONFLICT (hash) DO NOTHING",
        id,
        name,
        hash,
        scopes
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn find(conn: &mut PgConnection, hash: &[u8]) -> sqlx::Result<Option<Caller>> {
    let row = sqlx::query!("SELECT id, scopes FROM access.keys WHERE hash = $1 AND revoked_at IS NULL", hash)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| Caller { id: row.id, scopes: row.scopes.into() }))
}
