//! Roles and what they may do.

use sqlx::PgConnection;

use super::scopes;
use crate::access::role::{Role, RoleRights};

struct Row {
    name: String,
    scopes: Vec<String>,
    builtin: bool,
}

impl From<Row> for Role {
    fn from(row: Row) -> Self {
        Self { name: row.name, builtin: row.builtin, rights: RoleRights { scopes: scopes(&row.scopes) } }
    }
}

/// In the order of their names; all, or the one of this name.
pub async fn list(conn: &mut PgConnection, name: Option<&str>) -> sqlx::Result<Vec<Role>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT name, scopes, builtin FROM access.roles WHERE $1::text IS NULL OR name = $1 ORDER BY name",
        name
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(Role::from).collect())
}

pub async fn get(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<Role>> {
    Ok(list(conn, Some(name)).await?.pop())
}

/// Keeps roles from changing, and users from getting one, until the transaction ends.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE access.roles IN SHARE ROW EXCLUSIVE MODE").execute(conn).await?;
    Ok(())
}

/// Makes the role, or replaces what it may do.
pub async fn put(conn: &mut PgConnection, name: &str, rights: &RoleRights) -> sqlx::Result<()> {
    let scopes: Vec<String> = rights.scopes.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "INSERT INTO access.roles (name, scopes) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET scopes = excluded.scopes",
        name,
        &scopes
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn delete(conn: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM access.roles WHERE name = $1", name).execute(conn).await?;
    Ok(())
}
