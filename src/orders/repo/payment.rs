//! What the payments of orders come to.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::orders::model::PaymentStatus;
use crate::orders::payment::Paid;
use crate::platform::db::text::to_text;

pub async fn set_paid(conn: &mut PgConnection, id: Uuid, paid: Paid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE orders.orders SET authorised = $2, captured = $3, refunded = $4, payment_failed = $5 WHERE id = $1",
        id,
        paid.authorised,
        paid.captured,
        paid.refunded,
        paid.failed
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn paid(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Paid> {
    let sql = sqlx::query_as!(
        Paid,
        "SELECT authorised, captured, refunded, payment_failed AS failed FROM orders.orders WHERE id = $1",
        id
    );
    sql.fetch_one(conn).await
}

/// Writes the status if it is another. Says whether the order is paid for the first time.
pub async fn set_status(conn: &mut PgConnection, id: Uuid, status: PaymentStatus, pays: bool) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        r#"UPDATE orders.orders o
           SET payment_status = $2, updated_at = clock_timestamp(), paid_at = coalesce(o.paid_at, CASE WHEN $3 THEN clock_timestamp() END)
           FROM orders.orders old
           WHERE o.id = $1 AND old.id = o.id AND (o.payment_status <> $2 OR ($3 AND o.paid_at IS NULL))
           RETURNING ($3 AND old.paid_at IS NULL) AS "first!""#,
        id,
        to_text(status),
        pays
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some_and(|row| row.first))
}

/// Of the orders that have any.
pub async fn all_paid(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<Uuid, Paid>> {
    let rows = sqlx::query!(
        "SELECT id, authorised, captured, refunded, payment_failed FROM orders.orders
         WHERE authorised > 0 OR payment_failed OR payment_status <> 'unpaid'"
    )
    .fetch_all(conn)
    .await?;
    let paid = rows.into_iter().map(|row| {
        let (authorised, captured, refunded, failed) = (row.authorised, row.captured, row.refunded, row.payment_failed);
        (row.id, Paid { authorised, captured, refunded, failed })
    });
    Ok(paid.collect())
}

/// Writes why an order must not be shipped, if that is another.
pub async fn set_held_for(conn: &mut PgConnection, id: Uuid, why: Option<&str>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE orders.orders SET held_for = $2, updated_at = clock_timestamp()
         WHERE id = $1 AND held_for IS DISTINCT FROM $2",
        id,
        why
    )
    .execute(conn)
    .await?;
    Ok(())
}
