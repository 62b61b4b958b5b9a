//! Sources.

use sqlx::PgConnection;

use crate::feeds::model::source::{NewSource, Source};
use crate::platform::clock::Timestamp;
use crate::warehouses::Code;

struct SourceRow {
    code: String,
    name: String,
    warehouse: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<SourceRow> for Source {
    fn from(row: SourceRow) -> Self {
        let fields = NewSource { name: row.name, warehouse: row.warehouse.map(Code) };
        Self { code: row.code, fields, created_at: row.created_at, updated_at: row.updated_at }
    }
}

/// In the order of their codes.
pub(in crate::feeds) async fn list(
    conn: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<Source>> {
    let rows = sqlx::query_as!(
        SourceRow,
        r#"SELECT code, name, warehouse, created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM feeds.sources WHERE $1::text IS NULL OR code > $1 ORDER BY code LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Source::from).collect())
}

pub(in crate::feeds) async fn find(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<Source>> {
    let row = sqlx::query_as!(
        SourceRow,
        r#"SELECT code, name, warehouse, created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM feeds.sources WHERE code = $1"#,
        code
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Source::from))
}

/// Keeps everybody else from changing the source until the transaction ends.
pub(in crate::feeds) async fn lock(conn: &mut PgConnection, code: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM feeds.sources WHERE code = $1 FOR UPDATE", code).execute(conn).await?;
    Ok(())
}

/// Reads the source and keeps it from being changed or deleted, while others may report for it too.
pub(in crate::feeds) async fn share(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<Source>> {
    let row = sqlx::query_as!(
        SourceRow,
        r#"SELECT code, name, warehouse, created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM feeds.sources WHERE code = $1 FOR SHARE"#,
        code
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Source::from))
}

pub(in crate::feeds) async fn put(conn: &mut PgConnection, code: &str, fields: &NewSource) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO feeds.sources (code, name, warehouse) VALUES ($1, $2, $3)
         ON CONFLICT (code) DO UPDATE
         SET name = excluded.name, warehouse = excluded.warehouse, updated_at = clock_timestamp()",
        code,
        fields.name,
        fields.warehouse.as_ref().map(|warehouse| warehouse.0.as_str())
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::feeds) async fn delete(conn: &mut PgConnection, code: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM feeds.sources WHERE code = $1", code).execute(conn).await?;
    Ok(())
}
