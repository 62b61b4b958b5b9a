//! The orders of a known customer.

use sqlx::PgConnection;
use uuid::Uuid;

use super::OrderRow;
use crate::orders::model::OrderHead;
use crate::platform::clock::Timestamp;

/// Open orders that a refusal names.
const NAMED: i64 = 20;

/// The oldest first.
pub async fn of_customer(conn: &mut PgConnection, customer: Uuid) -> sqlx::Result<Vec<OrderHead>> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT id, number, status, payment_status, fulfilment_status, channel, reference, customer_id, customer, shipping_address,
                  shipping_price, prices_include_tax, ship_together, note, reservation_id, cancel_reason, held_for, placed_at AS "placed_at: Timestamp",
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM orders.orders WHERE customer_id = $1 ORDER BY id"#,
        customer
    );
    rows.fetch_all(conn).await?.into_iter().map(OrderHead::try_from).collect()
}

/// The numbers of some that are neither completed nor cancelled, the oldest first.
pub async fn open(conn: &mut PgConnection, customer: Uuid) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "SELECT number FROM orders.orders
         WHERE customer_id = $1 AND status NOT IN ('completed', 'cancelled') ORDER BY id LIMIT $2",
        customer,
        NAMED
    )
    .fetch_all(conn)
    .await
}

/// Those of these with an open order, or one that changed within so many days.
pub async fn active(conn: &mut PgConnection, customers: &[Uuid], days: i32) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT customer_id AS "customer_id!" FROM orders.orders
           WHERE customer_id = ANY ($1) AND (status NOT IN ('completed', 'cancelled')
                 OR updated_at >= clock_timestamp() - make_interval(days => $2))"#,
        customers,
        days
    )
    .fetch_all(conn)
    .await
}

/// Takes out who bought, where it went but for the country, the numbers by which carriers know that, and all that was
/// written freely.
pub async fn erase(conn: &mut PgConnection, customer: Uuid) -> sqlx::Result<()> {
    // Whoever changes an order locks its row first.
    sqlx::query!("SELECT FROM orders.orders WHERE customer_id = $1 ORDER BY id FOR UPDATE", customer)
        .fetch_all(&mut *conn)
        .await?;
    sqlx::query!(
        "UPDATE orders.orders SET customer = '{}', note = NULL, cancel_reason = NULL, updated_at = clock_timestamp(),
                shipping_address = jsonb_strip_nulls(jsonb_build_object('country', shipping_address -> 'country'))
         WHERE customer_id = $1",
        customer
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE orders.shipments SET tracking_number = NULL
         WHERE order_id IN (SELECT id FROM orders.orders WHERE customer_id = $1)",
        customer
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE orders.returns SET reason = NULL
         WHERE order_id IN (SELECT id FROM orders.orders WHERE customer_id = $1)",
        customer
    )
    .execute(conn)
    .await?;
    Ok(())
}
