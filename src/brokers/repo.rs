//! Schema `brokers`: the links.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::clock::Timestamp;

/// For how long a server has a link without renewing its hold.
pub(super) const HOLD_SECONDS: i32 = 5;

/// A link as it is stored.
pub(super) struct Stored {
    pub name: String,
    pub position: i64,
    pub connected: bool,
    pub last_error: Option<String>,
    pub updated_at: Timestamp,
}

/// What the server that feeds a broker tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub connected: bool,
    pub last_error: Option<String>,
}

pub(super) async fn exists(conn: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM brokers.links WHERE name = $1) AS "exists!""#, name)
        .fetch_one(conn)
        .await
}

/// Makes a link, where none is yet.
pub(super) async fn begin(conn: &mut PgConnection, name: &str, position: i64) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO brokers.links (name, position) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, position)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a link that no other server has, and says how far it is.
pub(super) async fn take(conn: &mut PgConnection, name: &str, server: Uuid) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "UPDATE brokers.links
         SET holder = $2, held_until = clock_timestamp() + make_interval(secs => $3), connected = false
         WHERE name = $1 AND (holder IS NULL OR holder = $2 OR held_until < clock_timestamp())
         RETURNING position",
        name,
        server,
        f64::from(HOLD_SECONDS)
    )
    .fetch_optional(conn)
    .await
}

/// Renews a hold, and tells how and where the link is. False: another server has it.
pub(super) async fn renew(
    conn: &mut PgConnection,
    name: &str,
    server: Uuid,
    position: i64,
    condition: &Condition,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE brokers.links
         SET held_until = clock_timestamp() + make_interval(secs => $3),
             updated_at = CASE WHEN (connected, last_error) IS DISTINCT FROM ($4::boolean, $5::text) OR position < $6
                               THEN clock_timestamp() ELSE updated_at END,
             connected = $4, last_error = $5, position = greatest(position, $6)
         WHERE name = $1 AND holder = $2",
        name,
        server,
        f64::from(HOLD_SECONDS),
        condition.connected,
        condition.last_error.as_deref(),
        position
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves a link on. False: another server has it.
pub(super) async fn advance(conn: &mut PgConnection, name: &str, server: Uuid, position: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE brokers.links
         SET position = greatest(position, $3), held_until = clock_timestamp() + make_interval(secs => $4),
             updated_at = clock_timestamp()
         WHERE name = $1 AND holder = $2",
        name,
        server,
        position,
        f64::from(HOLD_SECONDS)
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a link up, for another server to take at once.
pub(super) async fn release(conn: &mut PgConnection, name: &str, server: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE brokers.links SET holder = NULL, connected = false, updated_at = clock_timestamp()
         WHERE name = $1 AND holder = $2",
        name,
        server
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn links(conn: &mut PgConnection) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        r#"SELECT name, position, connected AND holder IS NOT NULL AND held_until >= clock_timestamp() AS "connected!",
                  last_error, updated_at AS "updated_at: Timestamp"
           FROM brokers.links"#
    )
    .fetch_all(conn)
    .await
}
