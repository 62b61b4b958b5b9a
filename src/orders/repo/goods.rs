//! What left for customers, and what came back.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::inventory::Disposition;
use crate::orders::model::{Return, ReturnLine, Shipment, ShipmentLine};
use crate::platform::clock::Timestamp;
use crate::platform::db::text::{from_text, to_text};

/// In the order in which they were made.
pub async fn shipments_of(conn: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<Shipment>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.order_id, s.warehouse, s.status, s.carrier, s.tracking_number,
                  s.shipped_at AS "shipped_at: Timestamp", s.delivered_at AS "delivered_at: Timestamp",
                  sl.order_line_id, sl.quantity, l.sku
           FROM orders.shipments s
           JOIN orders.shipment_lines sl ON sl.shipment_id = s.id JOIN orders.lines l ON l.id = sl.order_line_id
           WHERE s.order_id = ANY ($1) ORDER BY s.id, l.line"#,
        orders
    )
    .fetch_all(conn)
    .await?;
    let mut shipments: Vec<Shipment> = Vec::new();
    for row in rows {
        if shipments.last().is_none_or(|shipment| shipment.id != row.id) {
            shipments.push(Shipment {
                id: row.id,
                order_id: row.order_id,
                warehouse: row.warehouse,
                status: from_text(&row.status)?,
                carrier: row.carrier,
                tracking_number: row.tracking_number,
                lines: Vec::new(),
                shipped_at: row.shipped_at,
                delivered_at: row.delivered_at,
            });
        }
        let (order_line_id, sku, quantity) = (row.order_line_id, row.sku, row.quantity);
        shipments.last_mut().expect("pushed above").lines.push(ShipmentLine { order_line_id, sku, quantity });
    }
    Ok(shipments)
}

pub async fn shipments_numbered(conn: &mut PgConnection, number: &str) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    let rows = sqlx::query!(
        "SELECT order_id, id FROM orders.shipments WHERE tracking_number = $1 ORDER BY order_id, id",
        number
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.order_id, row.id)).collect())
}

/// In the order in which they were made.
pub async fn returns_of(conn: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<Return>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.order_id, r.reason, r.received_at AS "received_at: Timestamp", rl.order_line_id, rl.quantity,
                  rl.disposition, rl.warehouse, l.sku
           FROM orders.returns r
           JOIN orders.return_lines rl ON rl.return_id = r.id JOIN orders.lines l ON l.id = rl.order_line_id
           WHERE r.order_id = ANY ($1) ORDER BY r.id, rl.line"#,
        orders
    )
    .fetch_all(conn)
    .await?;
    let mut returns: Vec<Return> = Vec::new();
    for row in rows {
        if returns.last().is_none_or(|r| r.id != row.id) {
            let (id, order_id, reason, received_at) = (row.id, row.order_id, row.reason, row.received_at);
            returns.push(Return { id, order_id, reason, received_at, lines: Vec::new() });
        }
        returns.last_mut().expect("pushed above").lines.push(ReturnLine {
            order_line_id: row.order_line_id,
            sku: row.sku,
            quantity: row.quantity,
            disposition: from_text::<Disposition>(&row.disposition)?,
            warehouse: row.warehouse,
        });
    }
    Ok(returns)
}

pub async fn insert_shipment(conn: &mut PgConnection, shipment: &Shipment, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO orders.shipments (id, order_id, warehouse, status, carrier, tracking_number, created_at, shipped_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        shipment.id,
        shipment.order_id,
        shipment.warehouse,
        to_text(shipment.status),
        shipment.carrier,
        shipment.tracking_number,
        now as Timestamp,
        shipment.shipped_at as Option<Timestamp>
    )
    .execute(&mut *conn)
    .await?;
    let lines: Vec<Uuid> = shipment.lines.iter().map(|line| line.order_line_id).collect();
    let quantities: Vec<i64> = shipment.lines.iter().map(|line| line.quantity).collect();
    sqlx::query!(
        "INSERT INTO orders.shipment_lines (shipment_id, order_line_id, quantity)
         SELECT $1, line, quantity FROM unnest($2::uuid[], $3::bigint[]) AS s (line, quantity)",
        shipment.id,
        &lines,
        &quantities
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn add_shipped(conn: &mut PgConnection, shipped: &[(Uuid, i64)]) -> sqlx::Result<()> {
    let (lines, quantities): (Vec<Uuid>, Vec<i64>) = shipped.iter().copied().unzip();
    sqlx::query!(
        "UPDATE orders.lines l SET shipped = l.shipped + s.quantity
         FROM unnest($1::uuid[], $2::bigint[]) AS s (line, quantity) WHERE l.id = s.line",
        &lines,
        &quantities
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn add_cancelled(conn: &mut PgConnection, cancelled: &[(Uuid, i64)]) -> sqlx::Result<()> {
    let (lines, quantities): (Vec<Uuid>, Vec<i64>) = cancelled.iter().copied().unzip();
    sqlx::query!(
        "UPDATE orders.lines l SET cancelled = l.cancelled + c.quantity
         FROM unnest($1::uuid[], $2::bigint[]) AS c (line, quantity) WHERE l.id = c.line",
        &lines,
        &quantities
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn set_delivered(conn: &mut PgConnection, shipment: Uuid, at: Timestamp) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE orders.shipments SET status = 'delivered', delivered_at = $2 WHERE id = $1",
        shipment,
        at as Timestamp
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn insert_return(conn: &mut PgConnection, r#return: &Return, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO orders.returns (id, order_id, reason, received_at, created_at) VALUES ($1, $2, $3, $4, $5)",
        r#return.id,
        r#return.order_id,
        r#return.reason,
        r#return.received_at as Timestamp,
        now as Timestamp
    )
    .execute(&mut *conn)
    .await?;
    let lines: Vec<Uuid> = r#return.lines.iter().map(|line| line.order_line_id).collect();
    let quantities: Vec<i64> = r#return.lines.iter().map(|line| line.quantity).collect();
    let dispositions: Vec<&str> = r#return.lines.iter().map(|line| line.disposition.as_str()).collect();
    let warehouses: Vec<&str> = r#return.lines.iter().map(|line| line.warehouse.as_str()).collect();
    sqlx::query!(
        "INSERT INTO orders.return_lines (return_id, order_line_id, quantity, disposition, warehouse, line)
         SELECT $1, line, quantity, disposition, warehouse, n
         FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[]) WITH ORDINALITY
              AS r (line, quantity, disposition, warehouse, n)",
        r#return.id,
        &lines,
        &quantities,
        &dispositions as &[&str],
        &warehouses as &[&str]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Several lines of a return may name one order line.
pub async fn add_returned(conn: &mut PgConnection, lines: &[ReturnLine]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = lines.iter().map(|line| line.order_line_id).collect();
    let quantities: Vec<i64> = lines.iter().map(|line| line.quantity).collect();
    sqlx::query!(
        "UPDATE orders.lines l SET returned = l.returned + r.quantity
         FROM (SELECT line, sum(quantity)::bigint AS quantity FROM unnest($1::uuid[], $2::bigint[]) AS r (line, quantity)
               GROUP BY line) r
         WHERE l.id = r.line",
        &ids,
        &quantities
    )
    .execute(conn)
    .await?;
    Ok(())
}
