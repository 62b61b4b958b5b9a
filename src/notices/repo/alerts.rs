//! What the operator is to be told.

use sqlx::PgConnection;
use uuid::Uuid;

/// A line of a mail, and the event that it is of.
pub struct Line {
    pub event_id: Uuid,
    pub line: String,
}

pub async fn insert(conn: &mut PgConnection, new: &[Line]) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO notices.alerts (event_id, line)
         SELECT event_id, line FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS new (event_id, line, n) ORDER BY n",
        &new.iter().map(|line| line.event_id).collect::<Vec<_>>(),
        &new.iter().map(|line| line.line.as_str()).collect::<Vec<_>>() as &[&str]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// For how many seconds the next mail has to wait, that they are so far apart; below zero, for none.
pub async fn seconds_to_wait(conn: &mut PgConnection, apart: f64) -> sqlx::Result<f64> {
    let waits = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM max(told_at) + make_interval(secs => $1) - clock_timestamp())::float8 AS "seconds"
           FROM notices.alerts WHERE told_at IS NOT NULL"#,
        apart
    );
    Ok(waits.fetch_one(conn).await?.unwrap_or(0.0))
}

/// Takes the lines that were not told yet, in their order, up to a number.
pub async fn take(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Line>> {
    let rows = sqlx::query!(
        "UPDATE notices.alerts SET told_at = clock_timestamp()
         WHERE id IN (SELECT id FROM notices.alerts WHERE told_at IS NULL ORDER BY id LIMIT $1)
         RETURNING id, event_id, line",
        limit
    );
    let mut rows = rows.fetch_all(conn).await?;
    rows.sort_by_key(|row| row.id);
    Ok(rows.into_iter().map(|row| Line { event_id: row.event_id, line: row.line }).collect())
}

pub async fn forget(conn: &mut PgConnection, days: i32, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM notices.alerts WHERE id IN (
             SELECT id FROM notices.alerts WHERE told_at < clock_timestamp() - make_interval(days => $1)
             ORDER BY told_at LIMIT $2)",
        days,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
