//! Schema `imports`.

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Oversold;
use crate::platform::db::json::{from_json, to_json};

/// Whether a channel's order is new. Whoever brings it at the same time waits for how this ends.
pub(super) async fn claim(conn: &mut PgConnection, channel: &str, reference: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO imports.orders (channel, reference) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        channel,
        reference
    );
    Ok(done.execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn set_order(
    conn: &mut PgConnection,
    channel: &str,
    reference: &str,
    order: Uuid,
    oversold: &[Oversold],
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE imports.orders SET order_id = $3, oversold = $4 WHERE channel = $1 AND reference = $2",
        channel,
        reference,
        order,
        to_json(&oversold)?
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn find(
    conn: &mut PgConnection,
    channel: &str,
    reference: &str,
) -> sqlx::Result<(Uuid, Vec<Oversold>)> {
    let row = sqlx::query!(
        r#"SELECT order_id AS "order_id!", oversold FROM imports.orders WHERE channel = $1 AND reference = $2"#,
        channel,
        reference
    );
    let row = row.fetch_one(conn).await?;
    Ok((row.order_id, from_json(row.oversold)?))
}
