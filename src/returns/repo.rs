//! Schema `returns`.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Filter, ReturnRequest};
use crate::platform::clock::Timestamp;
use crate::platform::db::json::{from_json, to_json};
use crate::platform::db::text::{from_text, to_text};
use crate::platform::money::Money;

struct Row {
    id: Uuid,
    order_id: Uuid,
    order_number: i64,
    channel: Option<String>,
    status: String,
    lines: Value,
    note: Option<String>,
    reason: Option<String>,
    restocking_fee: i64,
    worth_amount: Option<i64>,
    worth_currency: Option<String>,
    is_unpriced: bool,
    exchange: Option<Value>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for ReturnRequest {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let mut request = Self {
            id: row.id,
            order_id: row.order_id,
            order_number: row.order_number,
            channel: row.channel,
            status: from_text(&row.status)?,
            lines: from_json(row.lines)?,
            note: row.note,
            reason: row.reason,
            restocking_fee: row.restocking_fee,
            refund_due: None,
            exchange: row.exchange.map(from_json).transpose()?,
            created_at: row.created_at,
            updated_at: row.updated_at,
            worth: Money::from_columns(row.worth_amount, row.worth_currency),
            is_unpriced: row.is_unpriced,
        };
        request.add_up();
        Ok(request)
    }
}

pub(super) async fn insert(conn: &mut PgConnection, request: &ReturnRequest) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO returns.requests (id, order_id, order_number, channel, status, lines, note)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        request.id,
        request.order_id,
        request.order_number,
        request.channel,
        to_text(request.status),
        to_json(&request.lines)?,
        request.note
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes all of it that can change.
pub(super) async fn save(conn: &mut PgConnection, request: &ReturnRequest) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE returns.requests
         SET status = $2, lines = $3, reason = $4, restocking_fee = $5, worth_amount = $6, worth_currency = $7,
             is_unpriced = $8, exchange = $9, updated_at = clock_timestamp()
         WHERE id = $1",
        request.id,
        to_text(request.status),
        to_json(&request.lines)?,
        request.reason,
        request.restocking_fee,
        request.worth.as_ref().map(|worth| worth.amount),
        request.worth.as_ref().map(|worth| worth.currency.as_str()),
        request.is_unpriced,
        request.exchange.as_ref().map(to_json).transpose()?
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whoever changes it holds the order's row.
pub(super) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<ReturnRequest>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, order_number, channel, status, lines, note, reason, restocking_fee, worth_amount,
                  worth_currency, is_unpriced, exchange, created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM returns.requests WHERE id = $1"#,
        id
    );
    row.fetch_optional(conn).await?.map(ReturnRequest::try_from).transpose()
}

pub(super) async fn of_order(conn: &mut PgConnection, order: Uuid) -> sqlx::Result<Vec<ReturnRequest>> {
    let filter = Filter { order_id: Some(order), ..Filter::default() };
    list(conn, &filter, None, i64::from(i32::MAX)).await
}

/// The oldest first.
pub(super) async fn of_orders(conn: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<ReturnRequest>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, order_number, channel, status, lines, note, reason, restocking_fee, worth_amount,
                  worth_currency, is_unpriced, exchange, created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM returns.requests WHERE order_id = ANY ($1) ORDER BY id"#,
        orders
    );
    rows.fetch_all(conn).await?.into_iter().map(ReturnRequest::try_from).collect()
}

/// Takes out all that was written freely.
pub(super) async fn erase(conn: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"UPDATE returns.requests
           SET note = NULL, reason = NULL, updated_at = clock_timestamp(),
               lines = (SELECT coalesce(jsonb_agg(line || '{"reason": null}' ORDER BY n), '[]')
                        FROM jsonb_array_elements(lines) WITH ORDINALITY AS l (line, n))
           WHERE order_id = ANY ($1)"#,
        orders
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The newest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<ReturnRequest>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, order_number, channel, status, lines, note, reason, restocking_fee, worth_amount,
                  worth_currency, is_unpriced, exchange, created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM returns.requests
           WHERE ($1::uuid IS NULL OR order_id = $1) AND ($2::text IS NULL OR status = $2)
             AND ($3::text[] IS NULL OR channel = ANY ($3)) AND ($4::uuid IS NULL OR id < $4)
           ORDER BY id DESC LIMIT $5"#,
        filter.order_id,
        filter.status.map(to_text),
        filter.channels.as_deref(),
        after,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(ReturnRequest::try_from).collect()
}

/// Units that came of what was asked for, by (order, product).
pub(super) async fn received(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<(Uuid, String), i64>> {
    let rows = sqlx::query!(
        r#"SELECT r.order_id, line->>'sku' AS "sku!", sum((line->>'received')::bigint)::bigint AS "units!"
           FROM returns.requests r, jsonb_array_elements(r.lines) line GROUP BY r.order_id, line->>'sku'"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.order_id, row.sku), row.units)).collect())
}
