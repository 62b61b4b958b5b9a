//! Reading levels without lock.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::inventory::model::level::Level;
use crate::inventory::model::state::Policy;
use crate::platform::clock::Timestamp;

/// A product as far as its stock goes.
pub struct ProductStock {
    pub policy: Policy,
    pub beyond: i64,
    /// By warehouse: the level, expired holds given back, and when the next hold expires
    pub levels: BTreeMap<String, (Level, Option<Timestamp>)>,
}

/// The stock of these products as it is now: holds that have expired count as free, swept or not.
pub async fn read(
    conn: &mut PgConnection,
    skus: &[String],
) -> sqlx::Result<(Timestamp, BTreeMap<String, ProductStock>)> {
    // A left join: the clock is wanted even where there is no such product. Holds are looked for only where some are counted, and
    // further than the first to end only where that has: each look costs as much as finding the product.
    let rows = sqlx::query!(
        r#"SELECT clock.now AS "now!: Timestamp", p.sku AS "sku?", p.backorder_limit AS "backorder_limit?",
                  p.preorder_release AS "preorder_release?", p.preorder_limit AS "preorder_limit?",
                  p.discontinued AS "discontinued?",
                  p.backordered_held + p.backordered_ordered
                      - CASE WHEN p.backordered_held > 0 THEN
                          (SELECT coalesce(sum(h.quantity), 0)::bigint FROM inventory.holds h
                           WHERE h.sku = p.sku AND h.warehouse = '' AND h.expires_at <= clock.now) ELSE 0 END AS "beyond?",
                  l.warehouse AS "warehouse?", l.on_hand AS "on_hand?", l.damaged AS "damaged?",
                  l.quality_control AS "quality_control?", l.quarantined AS "quarantined?", l.reserved AS "reserved?",
                  l.allocated AS "allocated?", l.incoming AS "incoming?", l.safety_stock AS "safety_stock?",
                  l.reorder_point AS "reorder_point?",
                  CASE WHEN first.expires_at <= clock.now THEN
                      (SELECT sum(h.quantity)::bigint FROM inventory.holds h
                       WHERE h.sku = l.sku AND h.warehouse = l.warehouse AND h.expires_at <= clock.now) END AS expired,
                  CASE WHEN first.expires_at <= clock.now THEN
                      (SELECT h.expires_at FROM inventory.holds h
                       WHERE h.sku = l.sku AND h.warehouse = l.warehouse AND h.expires_at > clock.now
                       ORDER BY h.expires_at LIMIT 1)
                  ELSE first.expires_at END AS "next_expiry_at: Timestamp"
           FROM (SELECT clock_timestamp() AS now OFFSET 0) clock
           LEFT JOIN inventory.products p ON p.sku = ANY ($1) LEFT JOIN inventory.levels l ON l.sku = p.sku
           LEFT JOIN LATERAL (SELECT h.expires_at FROM inventory.holds h
                              WHERE l.reserved > 0 AND h.sku = l.sku AND h.warehouse = l.warehouse
                              ORDER BY h.expires_at LIMIT 1) first ON true"#,
        skus
    )
    .fetch_all(conn)
    .await?;
    let now = rows.first().map(|row| row.now).expect("a left join has a row");
    let mut products: BTreeMap<String, ProductStock> = BTreeMap::new();
    for row in rows {
        let Some(sku) = row.sku else { continue };
        let product = products.entry(sku).or_insert_with(|| ProductStock {
            policy: Policy {
                backorder_limit: row.backorder_limit.unwrap_or_default(),
                preorder: row.preorder_release.zip(row.preorder_limit),
                discontinued: row.discontinued.unwrap_or_default(),
            },
            beyond: row.beyond.unwrap_or_default(),
            levels: BTreeMap::new(),
        });
        let Some(warehouse) = row.warehouse else { continue };
        let level = Level {
            on_hand: row.on_hand.unwrap_or_default(),
            damaged: row.damaged.unwrap_or_default(),
            quality_control: row.quality_control.unwrap_or_default(),
            quarantined: row.quarantined.unwrap_or_default(),
            reserved: row.reserved.unwrap_or_default() - row.expired.unwrap_or_default(),
            allocated: row.allocated.unwrap_or_default(),
            incoming: row.incoming.unwrap_or_default(),
            safety_stock: row.safety_stock.unwrap_or_default(),
            reorder_point: row.reorder_point.unwrap_or_default(),
        };
        product.levels.insert(warehouse, (level, row.next_expiry_at));
    }
    Ok((now, products))
}

/// When the next hold that is live at a time expires, on each of these products in each of these warehouses.
pub async fn next_expiries_at(
    conn: &mut PgConnection,
    pairs: &[(&str, &str)],
    now: Timestamp,
) -> sqlx::Result<BTreeMap<(String, String), Timestamp>> {
    let (skus, warehouses): (Vec<&str>, Vec<&str>) = pairs.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"SELECT s.sku AS "sku!", s.warehouse AS "warehouse!", next.expires_at AS "expires_at!: Timestamp"
           FROM unnest($1::text[], $2::text[]) AS s (sku, warehouse)
           CROSS JOIN LATERAL (SELECT h.expires_at FROM inventory.holds h
                               WHERE h.sku = s.sku AND h.warehouse = s.warehouse AND h.expires_at > $3
                               ORDER BY h.expires_at LIMIT 1) next"#,
        &skus as &[&str],
        &warehouses as &[&str],
        now as Timestamp
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.sku, row.warehouse), row.expires_at)).collect())
}

/// When the next live hold on each product expires.
pub async fn next_expiries(conn: &mut PgConnection, skus: &[String]) -> sqlx::Result<BTreeMap<String, Timestamp>> {
    let rows = sqlx::query!(
        r#"SELECT s.sku AS "sku!", next.expires_at AS "expires_at!: Timestamp"
           FROM unnest($1::text[]) AS s (sku)
           CROSS JOIN LATERAL (SELECT h.expires_at FROM inventory.holds h
                               WHERE h.sku = s.sku AND h.expires_at > (SELECT clock_timestamp()) AND h.warehouse <> ''
                               ORDER BY h.expires_at LIMIT 1) next"#,
        skus
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.expires_at)).collect())
}

/// A product of which the warehouse holds or expects some.
pub async fn any_used(conn: &mut PgConnection, warehouse: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT sku FROM inventory.levels
         WHERE warehouse = $1 AND (on_hand > 0 OR reserved > 0 OR allocated > 0 OR incoming > 0) LIMIT 1",
        warehouse
    )
    .fetch_optional(conn)
    .await
}

/// A product of which an order waits for stock of this warehouse alone.
pub async fn any_awaited(conn: &mut PgConnection, warehouse: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT sku FROM inventory.backorders WHERE warehouse = $1 LIMIT 1", warehouse)
        .fetch_optional(conn)
        .await
}

pub async fn delete_of_warehouse(conn: &mut PgConnection, warehouse: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM inventory.levels WHERE warehouse = $1", warehouse).execute(conn).await?;
    Ok(())
}

pub async fn delete_of_product(conn: &mut PgConnection, sku: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM inventory.levels WHERE sku = $1", sku).execute(conn).await?;
    Ok(())
}

/// The next levels after one, as they are stored: by sku and warehouse.
pub async fn page(
    conn: &mut PgConnection,
    after: (&str, &str),
    limit: i64,
) -> sqlx::Result<Vec<(String, String, Level)>> {
    let rows = sqlx::query!(
        "SELECT sku, warehouse, on_hand, damaged, quality_control, quarantined, reserved, allocated, incoming,
                safety_stock, reorder_point
         FROM inventory.levels WHERE (sku, warehouse) > ($1, $2) ORDER BY sku, warehouse LIMIT $3",
        after.0,
        after.1,
        limit
    )
    .fetch_all(conn)
    .await?;
    let levels = rows.into_iter().map(|row| {
        let level = Level {
            on_hand: row.on_hand,
            damaged: row.damaged,
            quality_control: row.quality_control,
            quarantined: row.quarantined,
            reserved: row.reserved,
            allocated: row.allocated,
            incoming: row.incoming,
            safety_stock: row.safety_stock,
            reorder_point: row.reorder_point,
        };
        (row.sku, row.warehouse, level)
    });
    Ok(levels.collect())
}
