//! The self-check's own sums: from the records up, sharing nothing with the code that keeps the levels.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::inventory::model::place::Condition;
use crate::platform::clock::Timestamp;
use crate::platform::difference::Difference;

/// A quantity in a condition that the ledger does not explain.
pub struct Gap {
    pub sku: String,
    pub warehouse: String,
    pub condition: Condition,
    pub ledger: i64,
    pub level: i64,
}

/// Where levels and ledger differ, by condition.
pub async fn ledger_gaps(conn: &mut PgConnection) -> sqlx::Result<Vec<Gap>> {
    let rows = sqlx::query!(
        r#"WITH moved AS (
               SELECT sku, to_warehouse AS warehouse, to_place AS place, quantity FROM inventory.movements
               WHERE to_warehouse IS NOT NULL
               UNION ALL
               SELECT sku, from_warehouse, from_place, -quantity FROM inventory.movements WHERE from_warehouse IS NOT NULL
           ), ledger AS (
               SELECT sku, warehouse, place, sum(quantity)::bigint AS quantity FROM moved GROUP BY sku, warehouse, place
           ), level AS (
               SELECT sku, warehouse, place, quantity FROM inventory.levels CROSS JOIN LATERAL (VALUES
                   ('good', on_hand - damaged - quality_control - quarantined), ('damaged', damaged),
                   ('quality_control', quality_control), ('quarantined', quarantined)) AS c (place, quantity)
           )
           SELECT coalesce(l.sku, m.sku) AS "sku!", coalesce(l.warehouse, m.warehouse) AS "warehouse!",
                  coalesce(l.place, m.place) AS "place!", coalesce(m.quantity, 0) AS "ledger!",
                  coalesce(l.quantity, 0) AS "level!"
           FROM level l FULL JOIN ledger m ON m.sku = l.sku AND m.warehouse = l.warehouse AND m.place = l.place
           WHERE coalesce(m.quantity, 0) <> coalesce(l.quantity, 0) ORDER BY 1, 2, 3"#
    )
    .fetch_all(conn)
    .await?;
    let conditions = [Condition::Good, Condition::Damaged, Condition::QualityControl, Condition::Quarantined];
    let gaps = rows.into_iter().filter_map(|row| {
        let condition = conditions.into_iter().find(|c| c.as_str() == row.place)?;
        Some(Gap { sku: row.sku, warehouse: row.warehouse, condition, ledger: row.ledger, level: row.level })
    });
    Ok(gaps.collect())
}

pub async fn levels_against_ledger(conn: &mut PgConnection) -> sqlx::Result<Vec<Difference>> {
    let gaps = ledger_gaps(conn).await?;
    let differences = gaps.into_iter().map(|gap| {
        let subject = format!("{} @ {} ({})", gap.sku, gap.warehouse, gap.condition.as_str());
        Difference::new("level_equals_ledger", subject, gap.ledger, gap.level)
    });
    Ok(differences.collect())
}

/// `reserved` against the holds, `allocated` against the allocations.
pub async fn levels_against_claims(conn: &mut PgConnection) -> sqlx::Result<Vec<Difference>> {
    let rows = sqlx::query!(
        r#"WITH held AS (
               SELECT sku, warehouse, sum(quantity)::bigint AS quantity FROM inventory.holds WHERE warehouse <> ''
               GROUP BY sku, warehouse
           ), promised AS (
               SELECT sku, warehouse, sum(quantity)::bigint AS quantity FROM inventory.allocations GROUP BY sku, warehouse
           )
           SELECT coalesce(l.sku, h.sku, p.sku) || ' @ ' || coalesce(l.warehouse, h.warehouse, p.warehouse) AS "subject!",
                  coalesce(h.quantity, 0) AS "held!", coalesce(l.reserved, 0) AS "reserved!",
                  coalesce(p.quantity, 0) AS "promised!", coalesce(l.allocated, 0) AS "allocated!"
           FROM inventory.levels l
           FULL JOIN held h ON h.sku = l.sku AND h.warehouse = l.warehouse
           FULL JOIN promised p ON p.sku = coalesce(l.sku, h.sku) AND p.warehouse = coalesce(l.warehouse, h.warehouse)
           WHERE coalesce(h.quantity, 0) <> coalesce(l.reserved, 0)
              OR coalesce(p.quantity, 0) <> coalesce(l.allocated, 0)"#
    )
    .fetch_all(conn)
    .await?;
    let mut differences = Vec::new();
    for row in rows {
        if row.held != row.reserved {
            let subject = row.subject.clone();
            differences.push(Difference::new("reserved_equals_holds", subject, row.held, row.reserved));
        }
        if row.promised != row.allocated {
            differences.push(Difference::new("allocated_equals_allocations", row.subject, row.promised, row.allocated));
        }
    }
    Ok(differences)
}

/// What is promised beyond stock, against the holds and the queue.
pub async fn counters_against_claims(conn: &mut PgConnection) -> sqlx::Result<Vec<Difference>> {
    let rows = sqlx::query!(
        r#"WITH held AS (
               SELECT sku, sum(quantity)::bigint AS quantity FROM inventory.holds WHERE warehouse = '' GROUP BY sku
           ), waiting AS (
               SELECT sku, sum(quantity)::bigint AS quantity FROM inventory.backorders GROUP BY sku
           )
           SELECT p.sku AS "sku!", coalesce(h.quantity, 0) AS "held!", p.backordered_held AS "backordered_held!",
                  coalesce(w.quantity, 0) AS "waiting!", p.backordered_ordered AS "backordered_ordered!"
           FROM inventory.products p LEFT JOIN held h ON h.sku = p.sku LEFT JOIN waiting w ON w.sku = p.sku
           WHERE coalesce(h.quantity, 0) <> p.backordered_held OR coalesce(w.quantity, 0) <> p.backordered_ordered"#
    )
    .fetch_all(conn)
    .await?;
    let mut differences = Vec::new();
    for row in rows {
        if row.held != row.backordered_held {
            let (sku, found) = (row.sku.clone(), row.backordered_held);
            differences.push(Difference::new("backordered_equals_holds", sku, row.held, found));
        }
        if row.waiting != row.backordered_ordered {
            let found = row.backordered_ordered;
            differences.push(Difference::new("backordered_equals_queue", row.sku, row.waiting, found));
        }
    }
    Ok(differences)
}

/// Levels that promise more than is sellable, or are negative somewhere. The table's CHECKs make this
/// impossible; the self-check does not take their word for it.
pub async fn oversold(conn: &mut PgConnection) -> sqlx::Result<Vec<Difference>> {
    let rows = sqlx::query!(
        r#"SELECT sku || ' @ ' || warehouse AS "subject!", reserved + allocated AS "promised!",
                  on_hand - damaged - quality_control - quarantined AS "sellable!"
           FROM inventory.levels
           WHERE reserved + allocated > on_hand - damaged - quality_control - quarantined
              OR least(on_hand, damaged, quality_control, quarantined, reserved, allocated, incoming) < 0"#
    )
    .fetch_all(conn)
    .await?;
    let differences =
        rows.into_iter().map(|row| Difference::new("never_oversold", row.subject, row.sellable, row.promised));
    Ok(differences.collect())
}

/// What the ledger has in transit, by product.
pub async fn ledger_in_transit(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<String, i64>> {
    let rows = sqlx::query!(
        r#"SELECT sku, sum(CASE WHEN to_place = 'in_transit' THEN quantity ELSE -quantity END)::bigint AS "quantity!"
           FROM inventory.movements WHERE to_place = 'in_transit' OR from_place = 'in_transit' GROUP BY sku"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.quantity)).collect())
}

pub async fn incoming(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<String, i64>> {
    let rows = sqlx::query!(
        r#"SELECT sku || ' @ ' || warehouse AS "subject!", incoming FROM inventory.levels WHERE incoming <> 0"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, row.incoming)).collect())
}

/// What the holds that are alive at that time hold, by (reservation, product).
pub async fn live_holds(conn: &mut PgConnection, at: Timestamp) -> sqlx::Result<BTreeMap<(Uuid, String), i64>> {
    let rows = sqlx::query!(
        r#"SELECT reservation_id, sku, sum(quantity)::bigint AS "quantity!" FROM inventory.holds
           WHERE expires_at > $1 GROUP BY reservation_id, sku"#,
        at as Timestamp
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.reservation_id, row.sku), row.quantity)).collect())
}

/// What order lines are promised, by (line, product).
pub async fn claims(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<(Uuid, String), i64>> {
    let rows = sqlx::query!(
        r#"SELECT order_line_id AS "line!", sku AS "sku!", sum(quantity)::bigint AS "quantity!"
           FROM (SELECT order_line_id, sku, quantity FROM inventory.allocations
                 UNION ALL SELECT order_line_id, sku, quantity FROM inventory.backorders) c
           GROUP BY order_line_id, sku"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.line, row.sku), row.quantity)).collect())
}

/// Lets nobody change stock until the transaction ends: every writer locks a product's row first.
pub async fn stop_writers(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE inventory.products IN EXCLUSIVE MODE").execute(conn).await?;
    Ok(())
}

/// Sets counters to what the holds, allocations and the queue say; tells what was changed.
pub async fn repair_claims(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let levels = sqlx::query_scalar!(
        r#"UPDATE inventory.levels l SET reserved = r.held, allocated = r.promised
           FROM (SELECT k.sku, k.warehouse, k.reserved AS was_reserved, k.allocated AS was_allocated,
                        coalesce((SELECT sum(quantity) FROM inventory.holds h
                                  WHERE h.sku = k.sku AND h.warehouse = k.warehouse), 0)::bigint AS held,
                        coalesce((SELECT sum(quantity) FROM inventory.allocations a
                                  WHERE a.sku = k.sku AND a.warehouse = k.warehouse), 0)::bigint AS promised
                 FROM inventory.levels k) r
           WHERE l.sku = r.sku AND l.warehouse = r.warehouse AND (l.reserved <> r.held OR l.allocated <> r.promised)
           RETURNING format('%s @ %s: reserved %s -> %s, allocated %s -> %s', l.sku, l.warehouse, r.was_reserved, r.held,
                            r.was_allocated, r.promised) AS "line!""#
    )
    .fetch_all(&mut *conn)
    .await?;
    let products = sqlx::query_scalar!(
        r#"UPDATE inventory.products p SET backordered_held = r.held, backordered_ordered = r.waiting
           FROM (SELECT k.sku, k.backordered_held AS was_held, k.backordered_ordered AS was_waiting,
                        coalesce((SELECT sum(quantity) FROM inventory.holds h
                                  WHERE h.sku = k.sku AND h.warehouse = ''), 0)::bigint AS held,
                        coalesce((SELECT sum(quantity) FROM inventory.backorders b WHERE b.sku = k.sku), 0)::bigint AS waiting
                 FROM inventory.products k) r
           WHERE p.sku = r.sku AND (p.backordered_held <> r.held OR p.backordered_ordered <> r.waiting)
           RETURNING format('%s: beyond stock held %s -> %s, waiting %s -> %s', p.sku, r.was_held, r.held,
                            r.was_waiting, r.waiting) AS "line!""#
    )
    .fetch_all(conn)
    .await?;
    Ok(levels.into_iter().chain(products).collect())
}
