//! Sessions, and the log-ins that failed.

use sqlx::PgConnection;
use uuid::Uuid;

use super::scopes;
use crate::access::limits::Limits;
use crate::access::session::{Origin, Session};
use crate::access::{Principal, Settings};
use crate::platform::clock::Timestamp;
use crate::platform::{Caller, CallerKind};

/// False when the user has been disabled.
pub async fn insert(
    conn: &mut PgConnection,
    (id, hash): (Uuid, &[u8]),
    user: Uuid,
    origin: &Origin,
    settings: &Settings,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO access.sessions (id, hash, user_id, expires_at, address, user_agent)
         SELECT $1, $2, id, clock_timestamp() + make_interval(days => $4), $5, $6
         FROM access.users WHERE id = $3 AND disabled_at IS NULL FOR KEY SHARE",
        id,
        hash,
        user,
        settings.session_days,
        origin.address.map(|address| address.to_string()),
        origin.user_agent
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn note_login(conn: &mut PgConnection, user: Uuid) -> sqlx::Result<()> {
    sqlx::query!("UPDATE access.users SET last_login_at = clock_timestamp() WHERE id = $1", user).execute(conn).await?;
    Ok(())
}

/// Whose session a digest stands for, and whether its use is to be noted (once a minute).
pub async fn find(
    conn: &mut PgConnection,
    hash: &[u8],
    settings: &Settings,
) -> sqlx::Result<Option<(Principal, bool)>> {
    let row = sqlx::query!(
        r#"SELECT s.id AS session, u.id, u.login, r.scopes, u.warehouses, u.channels,
                  s.last_seen_at < clock_timestamp() - interval '1 minute' AS "stale!"
           FROM access.sessions s JOIN access.users u ON u.id = s.user_id JOIN access.roles r ON r.name = u.role
           WHERE s.hash = $1 AND u.disabled_at IS NULL AND s.expires_at > clock_timestamp()
             AND s.last_seen_at > clock_timestamp() - make_interval(hours => $2)"#,
        hash,
        settings.session_idle_hours
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let principal = Principal {
            caller: Caller { id: row.id, kind: CallerKind::User, name: row.login.into() },
            scopes: scopes(&row.scopes).into(),
            limits: Limits::new(row.warehouses.unwrap_or_default(), row.channels.unwrap_or_default()).into(),
            session: Some(row.session),
        };
        (principal, row.stale)
    }))
}

pub async fn note_use(conn: &mut PgConnection, session: Uuid) -> sqlx::Result<()> {
    let noted = sqlx::query!("UPDATE access.sessions SET last_seen_at = clock_timestamp() WHERE id = $1", session);
    noted.execute(conn).await?;
    Ok(())
}

/// The sessions of a user that are still good, the newest first; all, or the one with this id.
pub async fn list(
    conn: &mut PgConnection,
    user: Uuid,
    session: Option<Uuid>,
    settings: &Settings,
) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        r#"SELECT id, created_at AS "created_at: Timestamp", last_seen_at AS "last_seen_at: Timestamp",
                  least(expires_at, last_seen_at + make_interval(hours => $3)) AS "expires_at!: Timestamp",
                  address, user_agent
           FROM access.sessions
           WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) AND expires_at > clock_timestamp()
             AND last_seen_at > clock_timestamp() - make_interval(hours => $3)
           ORDER BY id DESC LIMIT 200"#,
        user,
        session,
        settings.session_idle_hours
    )
    .fetch_all(conn)
    .await
}

/// Ends the sessions of a user: all but the one to keep, if there is one.
pub async fn end_all(conn: &mut PgConnection, user: Uuid, keep: Option<Uuid>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM access.sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2", user, keep)
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn end(conn: &mut PgConnection, session: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM access.sessions WHERE id = $1", session).execute(conn).await?;
    Ok(())
}

/// Locks the count of failures of a login. Gives the count, and how many seconds ago the last one was.
pub async fn lock_failures(conn: &mut PgConnection, login_hash: &[u8]) -> sqlx::Result<(i32, f64)> {
    let row = sqlx::query!(
        r#"INSERT INTO access.login_failures AS f (login_hash, count) VALUES ($1, 0)
           ON CONFLICT (login_hash) DO UPDATE SET count = f.count
           RETURNING count, extract(epoch FROM clock_timestamp() - last_at)::double precision AS "seconds!""#,
        login_hash
    );
    let row = row.fetch_one(conn).await?;
    Ok((row.count, row.seconds))
}

pub async fn count_failures(conn: &mut PgConnection, login_hash: &[u8], count: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE access.login_failures SET count = $2, last_at = clock_timestamp() WHERE login_hash = $1",
        login_hash,
        count
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn forgive(conn: &mut PgConnection, login_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM access.login_failures WHERE login_hash = $1", login_hash).execute(conn).await?;
    Ok(())
}

/// Forgets sessions that are over, and failures of long ago; up to `limit` of each. Returns how many at most.
pub async fn forget_old(
    conn: &mut PgConnection,
    settings: &Settings,
    failures_after: f64,
    limit: i64,
) -> sqlx::Result<u64> {
    let sessions = sqlx::query!(
        "DELETE FROM access.sessions WHERE id IN (
             SELECT id FROM access.sessions
             WHERE expires_at <= clock_timestamp() OR last_seen_at <= clock_timestamp() - make_interval(hours => $1)
             LIMIT $2)",
        settings.session_idle_hours,
        limit
    );
    let sessions = sessions.execute(&mut *conn).await?.rows_affected();
    let failures = sqlx::query!(
        "DELETE FROM access.login_failures WHERE login_hash IN (
             SELECT login_hash FROM access.login_failures
             WHERE last_at < clock_timestamp() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED)",
        failures_after,
        limit
    );
    Ok(sessions.max(failures.execute(conn).await?.rows_affected()))
}
