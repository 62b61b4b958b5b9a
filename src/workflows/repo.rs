//! Schema `workflows`.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{NewWorkflow, RunStatus, TimelineEntry, Workflow, WorkflowRun};
use crate::platform::clock::Timestamp;
use crate::platform::db::json::{from_json, to_json};
use crate::platform::db::text::{from_text, to_text};
use crate::platform::id;
use crate::warehouses::Code;

pub(super) async fn clock(conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!: Timestamp""#).fetch_one(conn).await
}

struct DefinitionRow {
    code: String,
    name: String,
    active: bool,
    channels: Vec<String>,
    steps: Value,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<DefinitionRow> for Workflow {
    type Error = sqlx::Error;

    fn try_from(row: DefinitionRow) -> sqlx::Result<Self> {
        Ok(Self {
            code: row.code,
            name: row.name,
            active: row.active,
            channels: row.channels.into_iter().map(Code).collect(),
            steps: from_json(row.steps)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

pub(super) async fn definition(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<Workflow>> {
    let row = sqlx::query_as!(
        DefinitionRow,
        r#"SELECT code, name, active, channels, steps, created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM workflows.definitions WHERE code = $1"#,
        code
    );
    row.fetch_optional(conn).await?.map(Workflow::try_from).transpose()
}

/// In the order of their codes.
pub(super) async fn definitions(
    conn: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<Workflow>> {
    let rows = sqlx::query_as!(
        DefinitionRow,
        r#"SELECT code, name, active, channels, steps, created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM workflows.definitions WHERE ($1::text IS NULL OR code > $1) ORDER BY code LIMIT $2"#,
        after,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(Workflow::try_from).collect()
}

/// Only one at a time changes definitions, so that no two take the same channel.
pub(super) async fn lock_definitions(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE workflows.definitions IN SHARE ROW EXCLUSIVE MODE").execute(conn).await?;
    Ok(())
}

pub(super) async fn put_definition(conn: &mut PgConnection, code: &str, new: &NewWorkflow) -> sqlx::Result<()> {
    let channels: Vec<String> = new.channels.iter().flatten().map(|channel| channel.0.clone()).collect();
    sqlx::query!(
        "INSERT INTO workflows.definitions (code, name, active, channels, steps) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (code) DO UPDATE
         SET name = $2, active = $3, channels = $4, steps = $5, updated_at = clock_timestamp()",
        code,
        new.name,
        new.active.unwrap_or(true),
        &channels,
        to_json(&new.steps)?
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Which definition the orders of which channel go through; the empty code stands for all others.
pub(super) async fn set_channels(conn: &mut PgConnection, code: &str, channels: &[String]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM workflows.channels WHERE code = $1", code).execute(&mut *conn).await?;
    sqlx::query!(
        "INSERT INTO workflows.channels (channel, code) SELECT c, $1 FROM unnest($2::text[]) AS c",
        code,
        channels
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Who has which of these channels.
pub(super) async fn taken_channels(
    conn: &mut PgConnection,
    code: &str,
    channels: &[String],
) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "SELECT channel, code FROM workflows.channels WHERE channel = ANY ($2) AND code <> $1 ORDER BY channel",
        code,
        channels
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.channel, row.code)).collect())
}

pub(super) async fn delete_definition(conn: &mut PgConnection, code: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM workflows.definitions WHERE code = $1", code).execute(conn).await?;
    Ok(())
}

/// The definition that the orders of a channel go through.
pub(super) async fn for_channel(conn: &mut PgConnection, channel: Option<&str>) -> sqlx::Result<Option<Workflow>> {
    let code = sqlx::query_scalar!(
        "SELECT code FROM workflows.channels WHERE channel = ANY (ARRAY[coalesce($1, ''), '']) ORDER BY channel DESC LIMIT 1",
        channel
    );
    match code.fetch_optional(&mut *conn).await? {
        Some(code) => definition(conn, &code).await,
        None => Ok(None),
    }
}

struct RunRow {
    order_id: Uuid,
    order_number: i64,
    channel: Option<String>,
    definition: String,
    steps: Value,
    status: String,
    step: i32,
    since: Timestamp,
    attempts: i32,
    approved: bool,
    error: Option<String>,
    due_at: Option<Timestamp>,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl TryFrom<RunRow> for WorkflowRun {
    type Error = sqlx::Error;

    fn try_from(row: RunRow) -> sqlx::Result<Self> {
        Ok(Self {
            order_id: row.order_id,
            order_number: row.order_number,
            channel: row.channel,
            workflow: row.definition,
            status: from_text(&row.status)?,
            step: row.step,
            steps: from_json(row.steps)?,
            since: row.since,
            attempts: row.attempts,
            due_at: row.due_at,
            error: row.error,
            started_at: row.started_at,
            ended_at: row.ended_at,
            approved: row.approved,
        })
    }
}

/// Of an order. Whoever changes it holds the order's row.
pub(super) async fn run(conn: &mut PgConnection, order: Uuid) -> sqlx::Result<Option<WorkflowRun>> {
    let row = sqlx::query_as!(
        RunRow,
        r#"SELECT order_id, order_number, channel, definition, steps, status, step, since AS "since: Timestamp", attempts,
                  approved, error, due_at AS "due_at: Timestamp", started_at AS "started_at: Timestamp",
                  ended_at AS "ended_at: Timestamp"
           FROM workflows.runs WHERE order_id = $1"#,
        order
    );
    row.fetch_optional(conn).await?.map(WorkflowRun::try_from).transpose()
}

/// The newest orders first.
pub(super) async fn runs(
    conn: &mut PgConnection,
    status: Option<RunStatus>,
    channels: Option<&[String]>,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<WorkflowRun>> {
    let rows = sqlx::query_as!(
        RunRow,
        r#"SELECT order_id, order_number, channel, definition, steps, status, step, since AS "since: Timestamp", attempts,
                  approved, error, due_at AS "due_at: Timestamp", started_at AS "started_at: Timestamp",
                  ended_at AS "ended_at: Timestamp"
           FROM workflows.runs
           WHERE ($1::text IS NULL OR status = $1) AND ($2::text[] IS NULL OR channel = ANY ($2))
             AND ($3::uuid IS NULL OR order_id < $3)
           ORDER BY order_id DESC LIMIT $4"#,
        status.map(to_text),
        channels,
        after,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(WorkflowRun::try_from).collect()
}

pub(super) async fn insert_run(conn: &mut PgConnection, run: &WorkflowRun) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO workflows.runs (order_id, order_number, channel, definition, steps, status)
         VALUES ($1, $2, $3, $4, $5, $6)",
        run.order_id,
        run.order_number,
        run.channel,
        run.workflow,
        to_json(&run.steps)?,
        to_text(run.status)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes all of it that can change, and when it is looked at again.
pub(super) async fn save_run(
    conn: &mut PgConnection,
    run: &WorkflowRun,
    wake_at: Option<Timestamp>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE workflows.runs
         SET status = $2, step = $3, since = $4, attempts = $5, approved = $6, error = $7, due_at = $8, wake_at = $9,
             ended_at = $10
         WHERE order_id = $1",
        run.order_id,
        to_text(run.status),
        run.step,
        run.since as Timestamp,
        run.attempts,
        run.approved,
        run.error,
        run.due_at as Option<Timestamp>,
        wake_at as Option<Timestamp>,
        run.ended_at as Option<Timestamp>
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Those whose time has come; each is given once.
pub(super) async fn take_due(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE workflows.runs SET wake_at = NULL
         WHERE order_id IN (SELECT order_id FROM workflows.runs WHERE wake_at <= clock_timestamp()
                            ORDER BY wake_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING order_id",
        limit
    )
    .fetch_all(conn)
    .await
}

/// Of these orders, those that go through a process that has not ended.
pub(super) async fn alive(conn: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!("SELECT order_id FROM workflows.runs WHERE order_id = ANY ($1) AND ended_at IS NULL", orders)
        .fetch_all(conn)
        .await
}

/// Whether there is any definition that new orders may go through.
pub(super) async fn is_any_active(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM workflows.channels) AS "is!""#).fetch_one(conn).await
}

pub(super) async fn log(conn: &mut PgConnection, order: Uuid, entry: &TimelineEntry) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO workflows.log (id, order_id, kind, what, attempt, detail, actor) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id::new(),
        order,
        entry.kind,
        entry.what,
        entry.attempt,
        entry.detail,
        entry.actor
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The oldest first.
pub(super) async fn entries(conn: &mut PgConnection, order: Uuid) -> sqlx::Result<Vec<TimelineEntry>> {
    sqlx::query_as!(
        TimelineEntry,
        r#"SELECT at AS "at: Timestamp", kind, what, attempt, detail, actor FROM workflows.log WHERE order_id = $1 ORDER BY id"#,
        order
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn troubled(
    conn: &mut PgConnection,
    until: Timestamp,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT order_id FROM workflows.runs
         WHERE (status = 'stuck' OR (status = 'running' AND due_at IS NOT NULL)) AND (status = 'stuck' OR due_at <= $1)
           AND ($2::uuid IS NULL OR order_id > $2)
         ORDER BY order_id LIMIT $3",
        until as Timestamp,
        after,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Those of these orders.
pub(super) async fn troubles_of(
    conn: &mut PgConnection,
    until: Timestamp,
    orders: &[Uuid],
) -> sqlx::Result<Vec<WorkflowRun>> {
    let rows = sqlx::query_as!(
        RunRow,
        r#"SELECT order_id, order_number, channel, definition, steps, status, step, since AS "since: Timestamp", attempts,
                  approved, error, due_at AS "due_at: Timestamp", started_at AS "started_at: Timestamp",
                  ended_at AS "ended_at: Timestamp"
           FROM workflows.runs
           WHERE (status = 'stuck' OR (status = 'running' AND due_at <= $1)) AND order_id = ANY ($2) ORDER BY order_id"#,
        until as Timestamp,
        orders
    );
    rows.fetch_all(conn).await?.into_iter().map(WorkflowRun::try_from).collect()
}
