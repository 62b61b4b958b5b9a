//! Reading a book under lock, and writing back what changed: a fixed number of statements each,
//! whatever the number of products.
//!
//! | step | statement |
//! | --- | --- |
//! | lock | the products' rows, in the order of their sku |
//! | read | their levels, and the clock, now that nobody else can change them; holds that have expired go |
//! | write | levels, those that are new, counters if any changed, movements: together, as parts of one |
//!
//! A level has one row for each time it was written, as long as a transaction anywhere may still see them. So that those do
//! not count, it is read from the newest on (new rows come last, and the index is read from its end, one level at a time),
//! and is written where it was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::claims;
use crate::inventory::model::book::{Book, Item, LevelChange};
use crate::inventory::model::level::Level;
use crate::inventory::model::place::NewMovement;
use crate::inventory::model::state::Policy;
use crate::platform::clock::Timestamp;
use crate::platform::db::{Asked, Reads, Writes, add_read, add_write};
use crate::platform::id;
use crate::warehouses::Directory;

/// A product that is locked, and how it may be sold.
pub type Locked = (String, Item);

/// Locks these products; those that do not exist are left out.
pub fn ask_to_lock(reads: &mut Reads, skus: &[String]) -> Asked<Locked> {
    add_read!(
        reads,
        "SELECT sku, backorder_limit, preorder_release, preorder_limit, discontinued, backordered_held, backordered_ordered
         FROM inventory.products WHERE sku = ANY ($1) ORDER BY sku FOR NO KEY UPDATE",
        [skus],
        |row| {
            let preorder = row.get::<Option<_>>(2)?.zip(row.get::<Option<_>>(3)?);
            let policy = Policy { backorder_limit: row.get(1)?, preorder, discontinued: row.get(4)? };
            Ok((
                row.get(0)?,
                Item { policy, held_beyond: row.get(5)?, ordered_beyond: row.get(6)?, ..Item::default() },
            ))
        }
    )
}

/// A row of a book.
pub struct Line {
    now: Timestamp,
    /// What of a product, and where; nothing where the product has no level yet
    of: Option<(String, String)>,
    /// Where its level is, or nothing where it is what was given up
    at: Option<String>,
    level: Level,
}

/// The levels of products that are locked. Holds of theirs that have expired are given up first: swept or not, they never
/// count.
pub fn ask_for_lines(reads: &mut Reads, locked: &[Locked]) -> Asked<Line> {
    let skus: Vec<&str> = locked.iter().map(|(sku, _)| sku.as_str()).collect();
    // A left join: the clock is wanted even where there is no level yet. What was given up comes in rows of its own,
    // for what was promised beyond stock has no level.
    add_read!(
        reads,
        with = "clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
                expired AS (
                    DELETE FROM inventory.holds h USING clock WHERE h.sku = ANY ($1) AND h.expires_at <= clock.now
                    RETURNING h.sku, h.warehouse, h.quantity
                ),
                level AS (
                    SELECT l.* FROM unnest($1) AS s (sku) CROSS JOIN LATERAL (
                        SELECT ctid, l.* FROM inventory.levels l
                        WHERE l.sku = s.sku ORDER BY l.warehouse DESC LIMIT 1
                    ) l
                    UNION ALL
                    SELECT l.* FROM level s CROSS JOIN LATERAL (
                        SELECT ctid, l.* FROM inventory.levels l
                        WHERE l.sku = s.sku AND l.warehouse < s.warehouse ORDER BY l.warehouse DESC LIMIT 1
                    ) l
                )
           ",
        "SELECT clock.now, l.sku, l.warehouse, l.ctid::text AS row, l.on_hand, l.damaged, l.quality_control, l.quarantined,
                l.reserved, l.allocated, l.incoming, l.safety_stock, l.reorder_point
         FROM clock LEFT JOIN level l ON true
         UNION ALL
         SELECT clock.now, sku, warehouse, NULL, 0, 0, 0, 0, quantity, 0, 0, 0, 0 FROM expired, clock",
        [&skus as &[&str]],
        |row| {
            let now = row.get(0)?;
            let Some(sku) = row.get(1)? else {
                return Ok(Line { now, of: None, at: None, level: Level::default() });
            };
            let level = Level {
                on_hand: row.get(4)?,
                damaged: row.get(5)?,
                quality_control: row.get(6)?,
                quarantined: row.get(7)?,
                reserved: row.get(8)?,
                allocated: row.get(9)?,
                incoming: row.get(10)?,
                safety_stock: row.get(11)?,
                reorder_point: row.get(12)?,
            };
            Ok(Line { now, of: Some((sku, row.get(2)?)), at: row.get(3)?, level })
        }
    )
}

/// The book of products that are locked.
pub fn book_of(directory: Arc<Directory>, locked: Vec<Locked>, lines: Vec<Line>) -> Book {
    let now = lines.first().map(|line| line.now).expect("a left join has a row");
    let mut items: BTreeMap<String, Item> = locked.into_iter().collect();
    let mut expired = Vec::new();
    for Line { of, at, level, .. } in lines {
        let Some((sku, warehouse)) = of else { continue };
        let Some(at) = at else {
            expired.push((sku, claims::sourced_of(warehouse, level.reserved)));
            continue;
        };
        if let Some(item) = items.get_mut(&sku) {
            item.rows.insert(warehouse.clone(), at);
            item.levels.insert(warehouse, level);
        }
    }
    let mut book = Book::new(now, directory, items);
    for (sku, sourced) in &expired {
        book.unreserve(sku, sourced);
    }
    book
}

pub fn write_levels(writes: &mut Writes, book: &Book) {
    // Under the lock of its product, a level that was not there when the book was opened is not there now.
    let (known, new): (Vec<LevelChange>, Vec<LevelChange>) = book.changes().into_iter().partition(|c| c.row.is_some());
    if !known.is_empty() {
        update_levels(writes, &known);
    }
    if !new.is_empty() {
        insert_levels(writes, &new);
    }
}

/// Levels as columns.
struct Columns<'a> {
    skus: Vec<&'a str>,
    warehouses: Vec<&'a str>,
    /// In the order in which the table has them
    quantities: [Vec<i64>; 9],
}

impl<'a> Columns<'a> {
    fn of(changes: &[LevelChange<'a>]) -> Self {
        let column = |of: fn(&Level) -> i64| changes.iter().map(|c| of(c.after)).collect::<Vec<i64>>();
        Self {
            skus: changes.iter().map(|c| c.sku).collect(),
            warehouses: changes.iter().map(|c| c.warehouse).collect(),
            quantities: [
                column(|l| l.on_hand),
                column(|l| l.damaged),
                column(|l| l.quality_control),
                column(|l| l.quarantined),
                column(|l| l.reserved),
                column(|l| l.allocated),
                column(|l| l.incoming),
                column(|l| l.safety_stock),
                column(|l| l.reorder_point),
            ],
        }
    }
}

fn update_levels(writes: &mut Writes, changes: &[LevelChange<'_>]) {
    let Columns { quantities: [q1, q2, q3, q4, q5, q6, q7, q8, q9], .. } = Columns::of(changes);
    let rows: Vec<&str> = changes.iter().filter_map(|change| change.row).collect();
    add_write!(
        writes,
        "UPDATE inventory.levels l
         SET on_hand = c.on_hand, damaged = c.damaged, quality_control = c.quality_control, quarantined = c.quarantined,
             reserved = c.reserved, allocated = c.allocated, incoming = c.incoming, safety_stock = c.safety_stock,
             reorder_point = c.reorder_point
         FROM unnest($1::text[]::tid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                     $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
              AS c (row, on_hand, damaged, quality_control, quarantined, reserved, allocated, incoming, safety_stock,
                    reorder_point)
         WHERE l.ctid = c.row",
        &rows as &[&str],
        &q1,
        &q2,
        &q3,
        &q4,
        &q5,
        &q6,
        &q7,
        &q8,
        &q9
    );
    // Under the lock of its product, a row is where it was read.
    writes.of_rows(changes.len());
}

fn insert_levels(writes: &mut Writes, changes: &[LevelChange<'_>]) {
    let Columns { skus, warehouses, quantities: [q1, q2, q3, q4, q5, q6, q7, q8, q9] } = Columns::of(changes);
    add_write!(
        writes,
        "INSERT INTO inventory.levels (sku, warehouse, on_hand, damaged, quality_control, quarantined, reserved,
                                       allocated, incoming, safety_stock, reorder_point)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])",
        &skus as &[&str],
        &warehouses as &[&str],
        &q1,
        &q2,
        &q3,
        &q4,
        &q5,
        &q6,
        &q7,
        &q8,
        &q9
    );
}

pub fn write_counters(writes: &mut Writes, book: &Book) {
    let changed = book.changed_counters();
    if changed.is_empty() {
        return;
    }
    let skus: Vec<&str> = changed.iter().map(|c| c.0).collect();
    let held: Vec<i64> = changed.iter().map(|c| c.1).collect();
    let ordered: Vec<i64> = changed.iter().map(|c| c.2).collect();
    add_write!(
        writes,
        "UPDATE inventory.products p SET backordered_held = c.held, backordered_ordered = c.ordered
         FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS c (sku, held, ordered) WHERE p.sku = c.sku",
        &skus as &[&str],
        &held,
        &ordered
    );
}

/// Books movements; returns their ids, in order.
pub fn write_movements(writes: &mut Writes, movements: &[NewMovement], actor: Uuid) -> Vec<Uuid> {
    if movements.is_empty() {
        return Vec::new();
    }
    let ids: Vec<Uuid> = movements.iter().map(|_| id::new()).collect();
    let text = |of: fn(&NewMovement) -> Option<&str>| movements.iter().map(of).collect::<Vec<Option<&str>>>();
    let quantities: Vec<i64> = movements.iter().map(|m| m.quantity).collect();
    let effective: Vec<Option<Timestamp>> = movements.iter().map(|m| m.effective_at).collect();
    add_write!(
        writes,
        "INSERT INTO inventory.movements (id, sku, quantity, from_place, from_warehouse, to_place, to_warehouse, reason,
                                          note, lot, reference_type, reference_id, effective_at, actor)
         SELECT id, sku, quantity, from_place, from_warehouse, to_place, to_warehouse, reason, note, lot,
                reference_type, reference_id, coalesce(effective_at, clock_timestamp()), $14
         FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[])
              AS m (id, sku, quantity, from_place, from_warehouse, to_place, to_warehouse, reason, note, lot,
                    reference_type, reference_id, effective_at)",
        &ids,
        &text(|m| Some(&m.sku)) as &[Option<&str>],
        &quantities,
        &text(|m| Some(m.from.columns().0)) as &[Option<&str>],
        &text(|m| m.from.columns().1) as &[Option<&str>],
        &text(|m| Some(m.to.columns().0)) as &[Option<&str>],
        &text(|m| m.to.columns().1) as &[Option<&str>],
        &text(|m| Some(m.reason)) as &[Option<&str>],
        &text(|m| m.note.as_deref()) as &[Option<&str>],
        &text(|m| m.lot.as_deref()) as &[Option<&str>],
        &text(|m| m.reference.as_ref().map(|r| r.r#type)) as &[Option<&str>],
        &text(|m| m.reference.as_ref().map(|r| r.id.as_str())) as &[Option<&str>],
        &effective as &[Option<Timestamp>],
        actor
    );
    ids
}
