//! Schema `carts`.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Cart, CartStatus, Filter};
use crate::platform::clock::Timestamp;
use crate::platform::db::json::{from_json, to_json};

pub(super) async fn clock(conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!: Timestamp""#).fetch_one(conn).await
}

struct Row {
    id: Uuid,
    status: String,
    channel: Option<String>,
    reference: Option<String>,
    lines: Value,
    discounts: Value,
    shipping_price: Option<Value>,
    prices_include_tax: bool,
    ttl_seconds: i64,
    reservation_id: Option<Uuid>,
    expires_at: Timestamp,
    merged_into: Option<Uuid>,
    order_id: Option<Uuid>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Cart {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let mut cart = Cart {
            id: row.id,
            status: CartStatus::parse(&row.status),
            channel: row.channel,
            reference: row.reference,
            lines: from_json(row.lines)?,
            discounts: from_json(row.discounts)?,
            shipping_price: row.shipping_price.map(from_json).transpose()?,
            prices_include_tax: row.prices_include_tax,
            totals: None,
            ttl_seconds: row.ttl_seconds,
            reservation_id: row.reservation_id,
            expires_at: row.expires_at,
            merged_into: row.merged_into,
            order_id: row.order_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        cart.add_up();
        Ok(cart)
    }
}

pub(super) async fn insert(conn: &mut PgConnection, cart: &Cart) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO carts.carts (id, status, channel, reference, lines, discounts, shipping_price, prices_include_tax,
                                  ttl_seconds, reservation_id, expires_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
        cart.id,
        cart.status.as_str(),
        cart.channel,
        cart.reference,
        to_json(&cart.lines)?,
        to_json(&cart.discounts)?,
        cart.shipping_price.as_ref().map(to_json).transpose()?,
        cart.prices_include_tax,
        cart.ttl_seconds,
        cart.reservation_id,
        cart.expires_at as Timestamp,
        cart.created_at as Timestamp
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes all of a cart that can change; returns it as it will be read.
pub(super) async fn save(conn: &mut PgConnection, cart: &Cart) -> sqlx::Result<Cart> {
    let row = sqlx::query_as!(
        Row,
        r#"UPDATE carts.carts SET status = $2, reference = $3, lines = $4, discounts = $5, shipping_price = $6,
                  prices_include_tax = $7, ttl_seconds = $8, reservation_id = $9, expires_at = $10, merged_into = $11,
                  order_id = $12, updated_at = clock_timestamp()
           WHERE id = $1
           RETURNING id, status, channel, reference, lines, discounts, shipping_price, prices_include_tax, ttl_seconds,
                     reservation_id, expires_at AS "expires_at: Timestamp", merged_into, order_id,
                     created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp""#,
        cart.id,
        cart.status.as_str(),
        cart.reference,
        to_json(&cart.lines)?,
        to_json(&cart.discounts)?,
        cart.shipping_price.as_ref().map(to_json).transpose()?,
        cart.prices_include_tax,
        cart.ttl_seconds,
        cart.reservation_id,
        cart.expires_at as Timestamp,
        cart.merged_into,
        cart.order_id
    )
    .fetch_one(conn)
    .await?;
    row.try_into()
}

/// One whose time ran out reads as abandoned, whether it is marked so yet or not.
pub(super) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Cart>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, CASE WHEN status = 'open' AND expires_at <= clock_timestamp() THEN 'abandoned' ELSE status END AS "status!",
                  channel, reference, lines, discounts, shipping_price, prices_include_tax, ttl_seconds, reservation_id,
                  expires_at AS "expires_at: Timestamp", merged_into, order_id, created_at AS "created_at: Timestamp",
                  updated_at AS "updated_at: Timestamp"
           FROM carts.carts WHERE id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    row.map(Cart::try_from).transpose()
}

pub(super) async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Cart>> {
    sqlx::query_scalar!("SELECT id FROM carts.carts WHERE id = $1 FOR UPDATE", id).fetch_optional(&mut *conn).await?;
    // Read anew: who waited for the lock must not go by what was true before.
    find(conn, id).await
}

/// The newest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Cart>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, CASE WHEN status = 'open' AND expires_at <= clock_timestamp() THEN 'abandoned' ELSE status END AS "status!",
                  channel, reference, lines, discounts, shipping_price, prices_include_tax, ttl_seconds, reservation_id,
                  expires_at AS "expires_at: Timestamp", merged_into, order_id, created_at AS "created_at: Timestamp",
                  updated_at AS "updated_at: Timestamp"
           FROM carts.carts
           WHERE ($1::text IS NULL OR (status = $1 AND (status <> 'open' OR expires_at > clock_timestamp()))
                  OR ($1 = 'abandoned' AND status = 'open' AND expires_at <= clock_timestamp()))
             AND ($2::text[] IS NULL OR channel = ANY ($2)) AND ($3::text IS NULL OR reference = $3)
             AND ($4::uuid IS NULL OR id < $4)
           ORDER BY id DESC LIMIT $5"#,
        filter.status.map(CartStatus::as_str),
        filter.channels.as_deref(),
        filter.reference,
        before,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Cart::try_from).collect()
}

pub(super) async fn is_any_due(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let due = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM carts.carts WHERE status = 'open' AND expires_at <= (SELECT clock_timestamp())) AS "due!""#
    );
    due.fetch_one(conn).await
}

/// Marks some of those whose time ran out, but for those that somebody is at; returns them.
pub(super) async fn abandon_due(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Cart>> {
    let rows = sqlx::query_as!(
        Row,
        r#"UPDATE carts.carts SET status = 'abandoned', updated_at = clock_timestamp()
           WHERE id IN (SELECT id FROM carts.carts
                        WHERE status = 'open' AND expires_at <= (SELECT clock_timestamp())
                        ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
           RETURNING id, status, channel, reference, lines, discounts, shipping_price, prices_include_tax, ttl_seconds,
                     reservation_id, expires_at AS "expires_at: Timestamp", merged_into, order_id,
                     created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp""#,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Cart::try_from).collect()
}

/// Deletes some of those that have ended for that many days.
pub(super) async fn forget(conn: &mut PgConnection, days: i32, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM carts.carts
         WHERE id IN (SELECT id FROM carts.carts
                      WHERE status <> 'open' AND updated_at < clock_timestamp() - make_interval(days => $1)
                      LIMIT $2 FOR UPDATE SKIP LOCKED)",
        days,
        limit
    );
    Ok(done.execute(conn).await?.rows_affected())
}

/// What the open carts have to hold: for each reservation and product the cart, and the units.
pub(super) async fn wanted(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<(Uuid, String), (Uuid, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT c.id, c.reservation_id AS "reservation_id!", line ->> 'sku' AS "sku!",
                  sum((line ->> 'quantity')::bigint)::bigint AS "quantity!"
           FROM carts.carts c CROSS JOIN LATERAL jsonb_array_elements(c.lines) AS line
           WHERE c.status = 'open' AND c.reservation_id IS NOT NULL GROUP BY c.id, line ->> 'sku'"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.reservation_id, row.sku), (row.id, row.quantity))).collect())
}
