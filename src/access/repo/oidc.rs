//! Log-ins by an OpenID provider: those on their way, and who is who.

use sqlx::PgConnection;
use uuid::Uuid;

/// False when too many from the same network are on their way.
pub async fn insert(
    conn: &mut PgConnection,
    hash: &[u8],
    return_to: &str,
    network: Option<&str>,
    (patience, most): (f64, i64),
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO access.pending_logins (hash, return_to, network)
         SELECT $1, $2, $3
         WHERE (SELECT count(*) FROM access.pending_logins
                WHERE network IS NOT DISTINCT FROM $3 AND created_at > clock_timestamp() - make_interval(secs => $4)) < $5",
        hash,
        return_to,
        network,
        patience,
        most
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes a log-in that is on its way, once: where its browser wants to go then. None if it is late, or not there.
pub async fn take(conn: &mut PgConnection, hash: &[u8], patience: f64) -> sqlx::Result<Option<String>> {
    let row = sqlx::query!(
        r#"DELETE FROM access.pending_logins WHERE hash = $1
           RETURNING return_to, created_at > clock_timestamp() - make_interval(secs => $2) AS "in_time!""#,
        hash,
        patience
    );
    Ok(row.fetch_optional(conn).await?.filter(|row| row.in_time).map(|row| row.return_to))
}

/// Forgets up to `limit` that nobody came back from. Returns how many.
pub async fn forget_old(conn: &mut PgConnection, patience: f64, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM access.pending_logins WHERE hash IN (
             SELECT hash FROM access.pending_logins
             WHERE created_at <= clock_timestamp() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED)",
        patience,
        limit
    );
    Ok(done.execute(conn).await?.rows_affected())
}

/// Who this is here; also of users who are disabled.
pub async fn user_known_as(conn: &mut PgConnection, issuer: &str, subject: &str) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("SELECT id FROM access.users WHERE issuer = $1 AND subject = $2", issuer, subject)
        .fetch_optional(conn)
        .await
}

/// Says who a locked user is to a provider, or that they are nobody.
pub async fn link(conn: &mut PgConnection, user: Uuid, identity: Option<(&str, &str)>) -> sqlx::Result<()> {
    let (issuer, subject) = identity.unzip();
    sqlx::query!("UPDATE access.users SET issuer = $2, subject = $3 WHERE id = $1", user, issuer, subject)
        .execute(conn)
        .await?;
    Ok(())
}
