//! What inventory proves of itself, and repairs.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::place::{NewMovement, Place};
use super::{Inventory, Result, SERVER, repo};
use crate::platform::clock::Timestamp;
use crate::platform::db::Writes;
use crate::platform::difference::Difference;

/// Quantities by (what they belong to, product or line), as another module keeps them.
pub type Quantities = BTreeMap<(Uuid, String), i64>;

impl Inventory {
    /// The invariants that inventory alone can prove: levels against the ledger, the holds and the
    /// allocations; counters against holds and backorders; and that nothing is negative or oversold.
    pub async fn self_check(&self, conn: &mut PgConnection) -> Result<Vec<Difference>> {
        let mut found = repo::check::levels_against_ledger(conn).await?;
        found.extend(repo::check::levels_against_claims(conn).await?);
        found.extend(repo::check::counters_against_claims(conn).await?);
        found.extend(repo::check::oversold(conn).await?);
        Ok(found)
    }

    /// `in_transit`: what open transfers have on the way, by product and destination.
    pub async fn self_check_transit(
        &self,
        conn: &mut PgConnection,
        in_transit: &[(String, String, i64)],
    ) -> Result<Vec<Difference>> {
        let mut by_sku: BTreeMap<String, i64> = BTreeMap::new();
        let mut by_level: BTreeMap<String, i64> = BTreeMap::new();
        for (sku, warehouse, quantity) in in_transit {
            *by_sku.entry(sku.clone()).or_default() += quantity;
            *by_level.entry(format!("{sku} @ {warehouse}")).or_default() += quantity;
        }
        let ledger = repo::check::ledger_in_transit(conn).await?;
        let mut found = compare("in_transit_equals_transfers", &by_sku, &ledger);
        let incoming = repo::check::incoming(conn).await?;
        found.extend(compare("incoming_equals_transfers", &by_level, &incoming));
        Ok(found)
    }

    /// `held`: what the reservations that are alive at that time say they hold, by (reservation, product).
    pub async fn self_check_holds(
        &self,
        conn: &mut PgConnection,
        at: Timestamp,
        held: &Quantities,
    ) -> Result<Vec<Difference>> {
        let holds = repo::check::live_holds(conn, at).await?;
        Ok(compare("holds_equal_reservations", &named(held), &named(&holds)))
    }

    /// `open`: what order lines still have to get, by (line, product).
    pub async fn self_check_claims(&self, conn: &mut PgConnection, open: &Quantities) -> Result<Vec<Difference>> {
        let claims = repo::check::claims(conn).await?;
        Ok(compare("claims_equal_open_order_lines", &named(open), &named(&claims)))
    }

    /// Brings levels that differ from their records into line, and says what was done. The physical
    /// count in the level is believed, and the ledger gets a movement with the reason `repair`; counters
    /// are set to what holds and allocations say. Nothing is repaired that would oversell.
    pub async fn repair_in_tx(&self, conn: &mut PgConnection) -> Result<Vec<String>> {
        repo::check::stop_writers(conn).await?;
        let (mut writes, mut done) = (Writes::default(), Vec::new());
        for gap in repo::check::ledger_gaps(conn).await? {
            let here = Place::in_condition(&gap.warehouse, gap.condition);
            let missing = gap.level - gap.ledger;
            let (from, to) = if missing > 0 { (Place::Adjustment, here) } else { (here, Place::Adjustment) };
            let mut movement = NewMovement::new(&gap.sku, missing.abs(), from, to, "repair");
            movement.note = Some(format!("self-check: the ledger said {}, the level {}", gap.ledger, gap.level));
            repo::book::write_movements(&mut writes, &[movement], SERVER);
            let condition = gap.condition.as_str();
            done.push(format!(
                "{} @ {} ({condition}): booked {missing:+} in the ledger, which said {}",
                gap.sku, gap.warehouse, gap.ledger
            ));
        }
        writes.write_out(conn).await?;
        done.extend(repo::check::repair_claims(conn).await?);
        Ok(done)
    }
}

fn named(quantities: &Quantities) -> BTreeMap<String, i64> {
    quantities.iter().map(|((id, sku), quantity)| (format!("{id}, {sku}"), *quantity)).collect()
}

/// A difference for each key whose quantities are not the same; what is missing counts as 0.
fn compare(check: &str, expected: &BTreeMap<String, i64>, found: &BTreeMap<String, i64>) -> Vec<Difference> {
    let keys: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let of = |map: &BTreeMap<String, i64>, key: &String| map.get(key).copied().unwrap_or(0);
    let differing = keys.into_iter().filter(|key| of(expected, key) != of(found, key));
    differing.map(|key| Difference::new(check, key.clone(), of(expected, key), of(found, key))).collect()
}
