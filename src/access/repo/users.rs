//! Users.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::user::{NewUser, User};
use crate::platform::clock::Timestamp;
use crate::platform::page::PageRequest;

/// False when the login is taken.
pub async fn insert(conn: &mut PgConnection, id: Uuid, user: &NewUser, created_by: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO access.users (id, login, name, role, warehouses, channels, disabled_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN clock_timestamp() END, $8) ON CONFLICT (login) DO NOTHING",
        id,
        user.login,
        user.name,
        user.role,
        user.warehouses.as_deref(),
        user.channels.as_deref(),
        user.disabled,
        created_by
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// False when the login is somebody else's.
pub async fn update(conn: &mut PgConnection, id: Uuid, user: &NewUser) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE access.users SET login = $2, name = $3, role = $4, warehouses = $5, channels = $6,
                disabled_at = CASE WHEN $7 THEN coalesce(disabled_at, clock_timestamp()) END
         WHERE id = $1 AND NOT EXISTS (SELECT FROM access.users WHERE login = $2 AND id <> $1)",
        id,
        user.login,
        user.name,
        user.role,
        user.warehouses.as_deref(),
        user.channels.as_deref(),
        user.disabled
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn set_password(conn: &mut PgConnection, id: Uuid, hash: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE access.users SET password_hash = $2 WHERE id = $1", id, hash).execute(conn).await?;
    Ok(())
}

/// Which users a list shows.
#[derive(Default)]
pub struct Filter<'a> {
    pub id: Option<Uuid>,
    pub login: Option<&'a str>,
    pub role: Option<&'a str>,
    pub disabled: Option<bool>,
}

struct Row {
    id: Uuid,
    login: String,
    name: String,
    role: String,
    warehouses: Option<Vec<String>>,
    channels: Option<Vec<String>>,
    has_password: bool,
    issuer: Option<String>,
    created_at: Timestamp,
    created_by: String,
    last_login_at: Option<Timestamp>,
    disabled_at: Option<Timestamp>,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            fields: NewUser {
                login: row.login,
                name: row.name,
                role: row.role,
                warehouses: row.warehouses,
                channels: row.channels,
                disabled: row.disabled_at.is_some(),
            },
            has_password: row.has_password,
            issuer: row.issuer,
            created_at: row.created_at,
            created_by: row.created_by,
            last_login_at: row.last_login_at,
            disabled_at: row.disabled_at,
        }
    }
}

/// The newest first.
pub async fn list(conn: &mut PgConnection, page: &PageRequest<Uuid>, filter: &Filter<'_>) -> sqlx::Result<Vec<User>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, login, name, role, warehouses, channels, password_hash IS NOT NULL AS "has_password!", issuer,
                  created_at AS "created_at: Timestamp", created_by, last_login_at AS "last_login_at: Timestamp",
                  disabled_at AS "disabled_at: Timestamp"
           FROM access.users
           WHERE ($1::uuid IS NULL OR id < $1) AND ($2::uuid IS NULL OR id = $2) AND ($3::text IS NULL OR login = $3)
             AND ($4::text IS NULL OR role = $4) AND ($5::bool IS NULL OR (disabled_at IS NOT NULL) = $5)
           ORDER BY id DESC LIMIT $6"#,
        page.after,
        filter.id,
        filter.login,
        filter.role,
        filter.disabled,
        page.fetch()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(User::from).collect())
}

pub async fn find(conn: &mut PgConnection, filter: &Filter<'_>) -> sqlx::Result<Option<User>> {
    Ok(list(conn, &PageRequest { limit: 1, after: None }, filter).await?.pop())
}

/// Keeps a user from changing, and from getting a session, until the transaction ends.
pub async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM access.users WHERE id = $1 FOR UPDATE", id).execute(conn).await?;
    Ok(())
}

/// Who has this login, and the hash of their password if they have one; also of users who are disabled.
pub async fn password_of(conn: &mut PgConnection, login: &str) -> sqlx::Result<Option<(Uuid, Option<String>)>> {
    let row = sqlx::query!("SELECT id, password_hash FROM access.users WHERE login = $1", login);
    Ok(row.fetch_optional(conn).await?.map(|row| (row.id, row.password_hash)))
}
