//! What the self-check compares.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::difference::Difference;

/// Units that lines still have to get, by (line, product).
pub async fn open_quantities(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<(Uuid, String), i64>> {
    let rows = sqlx::query!(
        r#"SELECT id, sku, quantity - shipped - cancelled AS "open!" FROM orders.lines
           WHERE quantity > shipped + cancelled"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.id, row.sku), row.open)).collect())
}

/// Units that came back, by (order, product).
pub async fn returned_quantities(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<(Uuid, String), i64>> {
    let rows = sqlx::query!(
        r#"SELECT order_id, sku, sum(returned)::bigint AS "returned!" FROM orders.lines
           WHERE returned > 0 GROUP BY order_id, sku"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.order_id, row.sku), row.returned)).collect())
}

/// `shipped` against the shipments, `returned` against the returns, and neither more than was ordered.
pub async fn lines_against_shipments(conn: &mut PgConnection) -> sqlx::Result<Vec<Difference>> {
    let rows = sqlx::query!(
        r#"WITH sent AS (
               SELECT order_line_id, sum(quantity)::bigint AS quantity FROM orders.shipment_lines GROUP BY order_line_id
           ), back AS (
               SELECT order_line_id, sum(quantity)::bigint AS quantity FROM orders.return_lines GROUP BY order_line_id
           )
           SELECT l.id AS "id!", l.sku AS "sku!", coalesce(s.quantity, 0) AS "sent!", l.shipped AS "shipped!",
                  coalesce(b.quantity, 0) AS "back!", l.returned AS "returned!", l.quantity AS "quantity!", l.cancelled AS "cancelled!"
           FROM orders.lines l LEFT JOIN sent s ON s.order_line_id = l.id LEFT JOIN back b ON b.order_line_id = l.id
           WHERE coalesce(s.quantity, 0) <> l.shipped OR coalesce(b.quantity, 0) <> l.returned
              OR l.shipped + l.cancelled > l.quantity OR l.returned > l.shipped"#
    )
    .fetch_all(conn)
    .await?;
    let mut differences = Vec::new();
    for row in rows {
        let subject = format!("order line {}, {}", row.id, row.sku);
        let mut check = |name: &str, holds: bool, expected, found| {
            if !holds {
                differences.push(Difference::new(name, subject.clone(), expected, found));
            }
        };
        check("shipped_equals_shipments", row.sent == row.shipped, row.sent, row.shipped);
        check("returned_equals_returns", row.back == row.returned, row.back, row.returned);
        let most = row.quantity - row.cancelled;
        check("shipped_within_ordered", row.shipped <= most, most, row.shipped);
        check("returned_within_shipped", row.returned <= row.shipped, row.shipped, row.returned);
    }
    Ok(differences)
}
