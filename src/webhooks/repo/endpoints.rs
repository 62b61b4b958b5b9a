//! Who is told.

use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::events::Filter;
use crate::platform::clock::Timestamp;
use crate::webhooks::model::{NewWebhook, Webhook};

struct Row {
    id: Uuid,
    url: String,
    description: String,
    filter: Json<Filter>,
    previous_until: Option<Timestamp>,
    disabled_at: Option<Timestamp>,
    disabled_why: Option<String>,
    failing_since: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Row> for Webhook {
    fn from(row: Row) -> Self {
        let (filter, enabled) = (row.filter.0, row.disabled_at.is_none());
        Self {
            id: row.id,
            fields: NewWebhook { url: row.url, description: row.description, filter, enabled },
            disabled_why: row.disabled_why,
            disabled_at: row.disabled_at,
            failing_since: row.failing_since,
            previous_secret_until: row.previous_until,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub async fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    new: &NewWebhook,
    secret: &str,
    begins_after: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO webhooks.endpoints (id, url, description, filter, secret, begins_after, disabled_at, disabled_why)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN NULL ELSE clock_timestamp() END,
                 CASE WHEN $7 THEN NULL ELSE 'by_hand' END)",
        id,
        new.url,
        new.description,
        Json(&new.filter) as _,
        secret,
        begins_after,
        new.enabled
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn count(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM webhooks.endpoints"#).fetch_one(conn).await
}

pub async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Webhook>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, url, description, filter AS "filter: Json<Filter>",
                  CASE WHEN previous_until > clock_timestamp() THEN previous_until END AS "previous_until: Timestamp",
                  disabled_at AS "disabled_at: Timestamp", disabled_why, failing_since AS "failing_since: Timestamp",
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM webhooks.endpoints WHERE id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Webhook::from))
}

pub async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("SELECT id FROM webhooks.endpoints WHERE id = $1 FOR NO KEY UPDATE", id).fetch_optional(conn).await?;
    Ok(())
}

/// The newest first, those made before `before`.
pub async fn list(conn: &mut PgConnection, before: Option<Uuid>, limit: i64) -> sqlx::Result<Vec<Webhook>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, url, description, filter AS "filter: Json<Filter>",
                  CASE WHEN previous_until > clock_timestamp() THEN previous_until END AS "previous_until: Timestamp",
                  disabled_at AS "disabled_at: Timestamp", disabled_why, failing_since AS "failing_since: Timestamp",
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM webhooks.endpoints WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2"#,
        before,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Webhook::from).collect())
}

/// One that is enabled again begins after a position, and is given time anew.
pub async fn update(conn: &mut PgConnection, id: Uuid, fields: &NewWebhook, now_at: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE webhooks.endpoints SET url = $2, description = $3, filter = $4, updated_at = clock_timestamp(),
             begins_after  = CASE WHEN $5 AND disabled_at IS NOT NULL THEN $6 ELSE begins_after END,
             failing_since = CASE WHEN $5 AND disabled_at IS NOT NULL THEN NULL ELSE failing_since END,
             disabled_why  = CASE WHEN $5 THEN NULL ELSE coalesce(disabled_why, 'by_hand') END,
             disabled_at   = CASE WHEN $5 THEN NULL ELSE coalesce(disabled_at, clock_timestamp()) END
         WHERE id = $1",
        id,
        fields.url,
        fields.description,
        Json(&fields.filter) as _,
        fields.enabled,
        now_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn rotate(conn: &mut PgConnection, id: Uuid, secret: &str, overlap_hours: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE webhooks.endpoints SET previous_secret = secret, secret = $2, updated_at = clock_timestamp(),
             previous_until = clock_timestamp() + make_interval(hours => $3)
         WHERE id = $1",
        id,
        secret,
        overlap_hours
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn delete(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM webhooks.endpoints WHERE id = $1", id).execute(conn).await?;
    Ok(())
}

/// Who listens: the filter of each, and where it begins.
pub struct Listener {
    pub id: Uuid,
    pub filter: Filter,
    pub begins_after: i64,
}

pub async fn listeners(conn: &mut PgConnection) -> sqlx::Result<Vec<Listener>> {
    let rows = sqlx::query!(
        r#"SELECT id, filter AS "filter: Json<Filter>", begins_after FROM webhooks.endpoints
           WHERE disabled_at IS NULL ORDER BY id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Listener { id: row.id, filter: row.filter.0, begins_after: row.begins_after })
        .collect())
}

/// Disables one that is not yet: says whether it was.
pub async fn disable(conn: &mut PgConnection, id: Uuid, why: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE webhooks.endpoints SET disabled_at = clock_timestamp(), disabled_why = $2, updated_at = clock_timestamp()
         WHERE id = $1 AND disabled_at IS NULL",
        id,
        why
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
