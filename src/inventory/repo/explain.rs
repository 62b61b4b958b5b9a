//! The records behind a product's availability.

use sqlx::PgConnection;

use crate::inventory::model::explain::{AllocationView, BackorderView, HoldView, MAX_LISTED};
use crate::platform::clock::Timestamp;

pub async fn holds(conn: &mut PgConnection, sku: &str) -> sqlx::Result<Vec<HoldView>> {
    sqlx::query_as!(
        HoldView,
        r#"SELECT reservation_id, nullif(warehouse, '') AS warehouse, quantity, expires_at AS "expires_at: Timestamp"
           FROM inventory.holds WHERE sku = $1 AND expires_at > (SELECT clock_timestamp()) ORDER BY expires_at LIMIT $2"#,
        sku,
        MAX_LISTED
    )
    .fetch_all(conn)
    .await
}

pub async fn allocations(conn: &mut PgConnection, sku: &str) -> sqlx::Result<Vec<AllocationView>> {
    sqlx::query_as!(
        AllocationView,
        "SELECT order_id, order_line_id, warehouse, quantity FROM inventory.allocations
         WHERE sku = $1 ORDER BY warehouse, order_line_id LIMIT $2",
        sku,
        MAX_LISTED
    )
    .fetch_all(conn)
    .await
}

pub async fn backorders(conn: &mut PgConnection, sku: &str) -> sqlx::Result<Vec<BackorderView>> {
    sqlx::query_as!(
        BackorderView,
        r#"SELECT order_id, order_line_id, quantity, placed_at AS "placed_at: Timestamp" FROM inventory.backorders
           WHERE sku = $1 ORDER BY placed_at, seq LIMIT $2"#,
        sku,
        MAX_LISTED
    )
    .fetch_all(conn)
    .await
}
