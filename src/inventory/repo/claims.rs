//! Holds, allocations and backorders. Whoever writes them holds the lock of their product.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::inventory::model::sourcing::{Part, Sourced};
use crate::platform::clock::Timestamp;
use crate::platform::db::{Asked, Reads, Writes, add_read, add_write};

/// Stands for "no warehouse" in a hold's key: the part that is promised beyond stock.
const BEYOND: &str = "";

/// What a reservation line holds, or an order line is promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub reservation_id: Uuid,
    pub line: i32,
    pub sku: String,
    pub sourced: Sourced,
}

/// What of a line is held in one place.
pub struct HoldRow {
    reservation_id: Uuid,
    line: i32,
    warehouse: String,
    sku: String,
    quantity: i64,
    expires_at: Timestamp,
}

/// What one row holds.
pub fn sourced_of(warehouse: String, quantity: i64) -> Sourced {
    match warehouse.as_str() {
        BEYOND => Sourced { parts: Vec::new(), backordered: quantity },
        _ => Sourced { parts: vec![Part { warehouse, quantity }], backordered: 0 },
    }
}

/// What each reservation holds still of products that were opened at a time: one [`Hold`] a line, in the order of the rows. By
/// any later time, what expires in between would be neither given up there nor found here.
pub fn gather(rows: Vec<HoldRow>, opened_at: Timestamp) -> BTreeMap<Uuid, Vec<Hold>> {
    let mut holds: Vec<Hold> = Vec::new();
    let mut places: HashMap<(Uuid, i32), usize> = HashMap::new();
    for row in rows.into_iter().filter(|row| row.expires_at > opened_at) {
        let index = *places.entry((row.reservation_id, row.line)).or_insert_with(|| {
            let (reservation_id, line) = (row.reservation_id, row.line);
            holds.push(Hold { reservation_id, line, sku: row.sku, sourced: Sourced::default() });
            holds.len() - 1
        });
        if row.warehouse == BEYOND {
            holds[index].sourced.backordered += row.quantity;
        } else {
            holds[index].sourced.parts.push(Part { warehouse: row.warehouse, quantity: row.quantity });
        }
    }
    let mut held: BTreeMap<Uuid, Vec<Hold>> = BTreeMap::new();
    for hold in holds {
        held.entry(hold.reservation_id).or_default().push(hold);
    }
    held
}

pub async fn skus_held(conn: &mut PgConnection, reservations: &[Uuid]) -> sqlx::Result<Vec<String>> {
    if reservations.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!("SELECT DISTINCT sku FROM inventory.holds WHERE reservation_id = ANY ($1)", reservations)
        .fetch_all(conn)
        .await
}

pub fn insert_holds(writes: &mut Writes, holds: &[(Hold, Timestamp)]) {
    if holds.is_empty() {
        return;
    }
    let rows = holds.iter().flat_map(|(hold, expires_at)| {
        let parts = hold.sourced.parts.iter().map(|part| (part.warehouse.as_str(), part.quantity));
        let beyond = (hold.sourced.backordered > 0).then_some((BEYOND, hold.sourced.backordered));
        parts.chain(beyond).map(move |(warehouse, quantity)| (hold, *expires_at, warehouse, quantity))
    });
    let rows: Vec<(&Hold, Timestamp, &str, i64)> = rows.collect();
    let ids: Vec<Uuid> = rows.iter().map(|(hold, ..)| hold.reservation_id).collect();
    let lines: Vec<i32> = rows.iter().map(|(hold, ..)| hold.line).collect();
    let warehouses: Vec<&str> = rows.iter().map(|(_, _, warehouse, _)| *warehouse).collect();
    let skus: Vec<&str> = rows.iter().map(|(hold, ..)| hold.sku.as_str()).collect();
    let quantities: Vec<i64> = rows.iter().map(|(.., quantity)| *quantity).collect();
    let expiries: Vec<Timestamp> = rows.iter().map(|(_, expires_at, ..)| *expires_at).collect();
    add_write!(
        writes,
        "INSERT INTO inventory.holds (reservation_id, line, warehouse, sku, quantity, expires_at)
         SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])",
        &ids,
        &lines,
        &warehouses as &[&str],
        &skus as &[&str],
        &quantities,
        &expiries as &[Timestamp]
    );
}

/// Asks for what these reservations hold. Opening the products gives up what has expired, and one that asks together with
/// that sees it still: [`gather`] tells them apart.
pub fn ask_for_holds(reads: &mut Reads, reservations: &[Uuid]) -> Asked<HoldRow> {
    add_read!(
        reads,
        "SELECT reservation_id, line, warehouse, sku, quantity, expires_at FROM inventory.holds
         WHERE reservation_id = ANY ($1) ORDER BY reservation_id, line, warehouse",
        [reservations],
        |row| Ok(HoldRow {
            reservation_id: row.get(0)?,
            line: row.get(1)?,
            warehouse: row.get(2)?,
            sku: row.get(3)?,
            quantity: row.get(4)?,
            expires_at: row.get(5)?,
        })
    )
}

pub async fn holds_of(
    conn: &mut PgConnection,
    reservations: &[Uuid],
    opened_at: Timestamp,
) -> sqlx::Result<BTreeMap<Uuid, Vec<Hold>>> {
    if reservations.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut reads = Reads::default();
    let holds = ask_for_holds(&mut reads, reservations);
    Ok(gather(reads.ask_all(conn).await?.of(&holds)?, opened_at))
}

/// Takes away what these reservations hold.
pub fn delete_holds(writes: &mut Writes, reservations: &[Uuid]) {
    if !reservations.is_empty() {
        add_write!(writes, "DELETE FROM inventory.holds WHERE reservation_id = ANY ($1)", reservations);
    }
}

/// Moves the ends of what these reservations hold, never nearer.
pub fn extend_holds(writes: &mut Writes, ends: &[(Uuid, Timestamp)]) {
    if ends.is_empty() {
        return;
    }
    let (ids, ends): (Vec<Uuid>, Vec<Timestamp>) = ends.iter().copied().unzip();
    add_write!(
        writes,
        "UPDATE inventory.holds h SET expires_at = greatest(h.expires_at, e.expires_at)
         FROM unnest($1::uuid[], $2::timestamptz[]) AS e (id, expires_at) WHERE h.reservation_id = e.id",
        &ids,
        &ends as &[Timestamp]
    );
}

/// What an order line is promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub order_line_id: Uuid,
    pub order_id: Uuid,
    pub sku: String,
    pub sourced: Sourced,
}

/// Adds to what order lines are promised from stock.
pub fn add_allocations(writes: &mut Writes, claims: &[&Claim]) {
    let rows = claims.iter().flat_map(|claim| claim.sourced.parts.iter().map(move |part| (*claim, part)));
    let rows: Vec<(&Claim, &Part)> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let lines: Vec<Uuid> = rows.iter().map(|(claim, _)| claim.order_line_id).collect();
    let warehouses: Vec<&str> = rows.iter().map(|(_, part)| part.warehouse.as_str()).collect();
    let orders: Vec<Uuid> = rows.iter().map(|(claim, _)| claim.order_id).collect();
    let skus: Vec<&str> = rows.iter().map(|(claim, _)| claim.sku.as_str()).collect();
    let quantities: Vec<i64> = rows.iter().map(|(_, part)| part.quantity).collect();
    add_write!(
        writes,
        "INSERT INTO inventory.allocations AS a (order_line_id, warehouse, order_id, sku, quantity)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bigint[])
         ON CONFLICT (order_line_id, warehouse) DO UPDATE SET quantity = a.quantity + excluded.quantity",
        &lines,
        &warehouses as &[&str],
        &orders,
        &skus as &[&str],
        &quantities
    );
}

/// A line that begins to wait.
pub struct NewBackorder {
    pub order_line_id: Uuid,
    pub order_id: Uuid,
    pub sku: String,
    pub quantity: i64,
    pub channel: Option<String>,
    pub warehouse: Option<String>,
    pub placed_at: Timestamp,
}

pub fn insert_backorders(writes: &mut Writes, backorders: &[NewBackorder]) {
    if backorders.is_empty() {
        return;
    }
    let lines: Vec<Uuid> = backorders.iter().map(|b| b.order_line_id).collect();
    let orders: Vec<Uuid> = backorders.iter().map(|b| b.order_id).collect();
    let skus: Vec<&str> = backorders.iter().map(|b| b.sku.as_str()).collect();
    let quantities: Vec<i64> = backorders.iter().map(|b| b.quantity).collect();
    let channels: Vec<Option<&str>> = backorders.iter().map(|b| b.channel.as_deref()).collect();
    let warehouses: Vec<Option<&str>> = backorders.iter().map(|b| b.warehouse.as_deref()).collect();
    let placed: Vec<Timestamp> = backorders.iter().map(|b| b.placed_at).collect();
    add_write!(
        writes,
        "INSERT INTO inventory.backorders (order_line_id, order_id, sku, quantity, channel, warehouse, placed_at)
         SELECT line, order_id, sku, quantity, channel, warehouse, placed_at
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[])
              WITH ORDINALITY AS b (line, order_id, sku, quantity, channel, warehouse, placed_at, n) ORDER BY n",
        &lines,
        &orders,
        &skus as &[&str],
        &quantities,
        &channels as &[Option<&str>],
        &warehouses as &[Option<&str>],
        &placed as &[Timestamp]
    );
}

/// A line that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub order_line_id: Uuid,
    pub order_id: Uuid,
    pub sku: String,
    pub quantity: i64,
    pub channel: Option<String>,
    pub warehouse: Option<String>,
    pub placed_at: Timestamp,
    pub seq: i64,
}

/// For which channels and warehouses lines wait for a product. They are few, however many lines wait.
pub async fn waiting_for(conn: &mut PgConnection, sku: &str) -> sqlx::Result<Vec<(Option<String>, Option<String>)>> {
    let rows = sqlx::query!("SELECT DISTINCT channel, warehouse FROM inventory.backorders WHERE sku = $1", sku)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.channel, row.warehouse)).collect())
}

/// The next lines that wait for a product for one of these channels and warehouses, the oldest first.
pub async fn queue(
    conn: &mut PgConnection,
    sku: &str,
    groups: &[(Option<String>, Option<String>)],
    after: Option<(Timestamp, i64)>,
    limit: i64,
) -> sqlx::Result<Vec<Waiting>> {
    let (placed_at, seq) = after.unzip();
    let channels: Vec<Option<&str>> = groups.iter().map(|(channel, _)| channel.as_deref()).collect();
    let warehouses: Vec<Option<&str>> = groups.iter().map(|(_, warehouse)| warehouse.as_deref()).collect();
    sqlx::query_as!(
        Waiting,
        r#"SELECT order_line_id, order_id, sku, quantity, channel, warehouse, placed_at AS "placed_at: Timestamp", seq
           FROM inventory.backorders b
           WHERE sku = $1 AND ($2::timestamptz IS NULL OR (placed_at, seq) > ($2, $3))
             AND EXISTS (SELECT FROM unnest($5::text[], $6::text[]) AS g (channel, warehouse)
                         WHERE g.channel IS NOT DISTINCT FROM b.channel AND g.warehouse IS NOT DISTINCT FROM b.warehouse)
           ORDER BY placed_at, seq LIMIT $4"#,
        sku,
        placed_at as Option<Timestamp>,
        seq,
        limit,
        &channels as &[Option<&str>],
        &warehouses as &[Option<&str>]
    )
    .fetch_all(conn)
    .await
}

/// Some products for which orders wait, in the order of their sku.
pub async fn awaited(conn: &mut PgConnection, after: &str, limit: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT sku FROM inventory.products WHERE backordered_ordered > 0 AND sku > $1 ORDER BY sku LIMIT $2",
        after,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Takes from what lines wait for; a line that waits for nothing more leaves the queue.
pub fn reduce_backorders(writes: &mut Writes, served: &[(Uuid, i64)]) {
    let (lines, quantities): (Vec<Uuid>, Vec<i64>) = served.iter().copied().unzip();
    add_write!(
        writes,
        "DELETE FROM inventory.backorders b USING unnest($1::uuid[], $2::bigint[]) AS s (line, quantity)
         WHERE b.order_line_id = s.line AND b.quantity = s.quantity",
        &lines,
        &quantities
    );
    add_write!(
        writes,
        "UPDATE inventory.backorders b SET quantity = b.quantity - s.quantity
         FROM unnest($1::uuid[], $2::bigint[]) AS s (line, quantity)
         WHERE b.order_line_id = s.line AND b.quantity > s.quantity",
        &lines,
        &quantities
    );
}

/// What the lines of these orders are promised: one [`Claim`] a line.
pub async fn of_orders(conn: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<Claim>> {
    let rows = sqlx::query!(
        r#"SELECT order_line_id AS "line!", order_id AS "order_id!", sku AS "sku!", warehouse, quantity AS "quantity!"
           FROM (SELECT order_line_id, order_id, sku, warehouse, quantity FROM inventory.allocations WHERE order_id = ANY ($1)
                 UNION ALL
                 SELECT order_line_id, order_id, sku, NULL, quantity FROM inventory.backorders WHERE order_id = ANY ($1)) claims
           ORDER BY order_line_id, warehouse"#,
        orders
    )
    .fetch_all(conn)
    .await?;
    let mut claims: Vec<Claim> = Vec::new();
    for row in rows {
        if claims.last().is_none_or(|claim| claim.order_line_id != row.line) {
            let (order_line_id, order_id) = (row.line, row.order_id);
            claims.push(Claim { order_line_id, order_id, sku: row.sku, sourced: Sourced::default() });
        }
        let claim = claims.last_mut().expect("pushed above");
        match row.warehouse {
            Some(warehouse) => claim.sourced.parts.push(Part { warehouse, quantity: row.quantity }),
            None => claim.sourced.backordered += row.quantity,
        }
    }
    Ok(claims)
}

/// Takes away all that an order's lines are promised.
pub fn delete_claims(writes: &mut Writes, order: Uuid) {
    add_write!(writes, "DELETE FROM inventory.allocations WHERE order_id = $1", order);
    add_write!(writes, "DELETE FROM inventory.backorders WHERE order_id = $1", order);
}

/// Takes what is shipped from the allocations of one warehouse.
pub async fn reduce_allocations(
    conn: &mut PgConnection,
    warehouse: &str,
    shipped: &[(Uuid, i64)],
) -> sqlx::Result<u64> {
    let (lines, quantities): (Vec<Uuid>, Vec<i64>) = shipped.iter().copied().unzip();
    let deleted = sqlx::query!(
        "DELETE FROM inventory.allocations a USING unnest($2::uuid[], $3::bigint[]) AS s (line, quantity)
         WHERE a.order_line_id = s.line AND a.warehouse = $1 AND a.quantity = s.quantity",
        warehouse,
        &lines,
        &quantities
    )
    .execute(&mut *conn)
    .await?;
    let updated = sqlx::query!(
        "UPDATE inventory.allocations a SET quantity = a.quantity - s.quantity
         FROM unnest($2::uuid[], $3::bigint[]) AS s (line, quantity)
         WHERE a.order_line_id = s.line AND a.warehouse = $1 AND a.quantity > s.quantity",
        warehouse,
        &lines,
        &quantities
    )
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected() + updated.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_told_by_the_clock_by_which_the_rest_was_given_up() {
        let opened_at = Timestamp::now();
        let row = |line, expires_at| HoldRow {
            reservation_id: Uuid::nil(),
            line,
            warehouse: "MAIN".to_owned(),
            sku: "TEA".to_owned(),
            quantity: 1,
            expires_at,
        };
        let rows = vec![row(0, opened_at), row(1, opened_at.plus_seconds(1))];
        let lines: Vec<i32> = gather(rows, opened_at).values().flatten().map(|hold| hold.line).collect();
        assert_eq!(lines, [1]);
    }
}
