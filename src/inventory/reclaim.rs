//! Changes of what orders are promised: less of it, or from elsewhere.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::book::Book;
use super::model::sourcing::{Demand, Part, Sourced};
use super::model::views::Shortage;
use super::repo::claims::Claim;
use super::{Error, Inventory, Result, SERVER, repo};
use crate::events::Events;
use crate::platform::db::Writes;
use crate::platform::problem::Fault;
use crate::warehouses::Scope;

/// So many units of an order line.
pub type Units = (Uuid, i64);

impl Inventory {
    /// Locks these products for several changes of one transaction: all of them before the first, in the order of their sku. No
    /// book is opened: what that gives up has to be written when it is closed.
    pub async fn lock_in_tx(&self, conn: &mut PgConnection, skus: &[&str]) -> Result<()> {
        self.lock(conn, skus.iter().map(|sku| (*sku).to_owned()).collect()).await?;
        Ok(())
    }

    /// Takes back so many units that lines of an order are promised; none has fewer, for the order's row is locked.
    pub async fn give_up_in_tx(&self, conn: &mut PgConnection, order: Uuid, units: &[Units]) -> Result<()> {
        let (mut book, claims) = self.open_claims(conn, order, units).await?;
        let taken: Vec<Claim> = units.iter().filter_map(|units| some_of(&claims, *units, None)).collect();
        taken.iter().for_each(|claim| book.deallocate(&claim.sku, &claim.sourced));
        take_off(conn, &taken).await?;
        self.close_and_tell(conn, book, SERVER).await?;
        Ok(())
    }

    /// Promises so many units of lines of an order from one warehouse instead: all of them, or none. Who decides that may go
    /// by what a channel's warehouses are not meant for, but orders that wait are served first.
    pub async fn reallocate_in_tx(
        &self,
        conn: &mut PgConnection,
        order: Uuid,
        warehouse: &str,
        units: &[Units],
    ) -> Result<()> {
        let skus = self.skus_of_lines(conn, order, units).await?;
        let book = self.open(conn, skus).await?;
        let (mut book, served) = self.ready_to_promise(conn, book).await?;
        Events::publish_in_tx(conn, &served).await?;
        let claims = repo::claims::of_orders(conn, &[order]).await?;
        let scope = scope_of_one(&book, warehouse)?;
        let taken: Vec<Claim> = units.iter().filter_map(|units| some_of(&claims, *units, Some(warehouse))).collect();
        let demands = taken.iter().map(|claim| {
            let (sku, quantity) = (claim.sku.clone(), claim.sourced.quantity());
            Demand { sku, quantity, warehouse: None }
        });
        let demands: Vec<Demand> = demands.collect();
        let short = shortages(&book, &scope, &demands);
        if !short.is_empty() {
            return Err(Error::Insufficient(short));
        }
        let mut given = Vec::new();
        for claim in &taken {
            let part = Part { warehouse: warehouse.to_owned(), quantity: claim.sourced.quantity() };
            let sourced = Sourced { parts: vec![part], backordered: 0 };
            book.deallocate(&claim.sku, &claim.sourced);
            book.allocate(&claim.sku, &sourced);
            given.push(Claim { sourced, ..claim.clone() });
        }
        take_off(conn, &taken).await?;
        let mut writes = Writes::default();
        repo::claims::add_allocations(&mut writes, &given.iter().collect::<Vec<_>>());
        self.close_and_tell_with(conn, writes, book, SERVER).await?;
        Ok(())
    }

    /// Locks the products of these lines, and reads what the order is promised of them.
    async fn open_claims(&self, conn: &mut PgConnection, order: Uuid, units: &[Units]) -> Result<(Book, Vec<Claim>)> {
        let skus = self.skus_of_lines(conn, order, units).await?;
        let book = self.open(conn, skus).await?;
        // Only now: what waits may have been served meanwhile.
        Ok((book, repo::claims::of_orders(conn, &[order]).await?))
    }

    async fn skus_of_lines(&self, conn: &mut PgConnection, order: Uuid, units: &[Units]) -> Result<Vec<String>> {
        let claims = repo::claims::of_orders(conn, &[order]).await?;
        let of_lines = claims.into_iter().filter(|claim| units.iter().any(|(line, _)| *line == claim.order_line_id));
        Ok(of_lines.map(|claim| claim.sku).collect())
    }
}

/// So many units of what a line is promised, but for what it is promised from one warehouse: those that wait first, then those
/// of the warehouse that has to send the fewest, so that fewer have to send something. Nothing where there is none.
fn some_of(claims: &[Claim], (line, quantity): Units, but: Option<&str>) -> Option<Claim> {
    let claim = claims.iter().find(|claim| claim.order_line_id == line)?;
    let backordered = claim.sourced.backordered.min(quantity);
    let mut left = quantity - backordered;
    let mut by_size: Vec<&Part> =
        claim.sourced.parts.iter().filter(|part| Some(part.warehouse.as_str()) != but).collect();
    by_size.sort_by_key(|part| part.quantity);
    let parts = by_size.into_iter().filter_map(|part| {
        let taken = part.quantity.min(left);
        left -= taken;
        (taken > 0).then(|| Part { warehouse: part.warehouse.clone(), quantity: taken })
    });
    let sourced = Sourced { parts: parts.collect(), backordered };
    (sourced.quantity() > 0).then(|| Claim { sourced, ..claim.clone() })
}

/// Takes from what lines are promised.
async fn take_off(conn: &mut PgConnection, taken: &[Claim]) -> sqlx::Result<()> {
    let waiting: Vec<Units> = taken.iter().map(|claim| (claim.order_line_id, claim.sourced.backordered)).collect();
    let mut writes = Writes::default();
    let waiting: Vec<Units> = waiting.into_iter().filter(|(_, units)| *units > 0).collect();
    repo::claims::reduce_backorders(&mut writes, &waiting);
    writes.write_out(conn).await?;
    let mut by_warehouse: BTreeMap<&str, Vec<Units>> = BTreeMap::new();
    for claim in taken {
        for part in &claim.sourced.parts {
            by_warehouse.entry(&part.warehouse).or_default().push((claim.order_line_id, part.quantity));
        }
    }
    for (warehouse, units) in by_warehouse {
        repo::claims::reduce_allocations(conn, warehouse, &units).await?;
    }
    Ok(())
}

fn scope_of_one(book: &Book, warehouse: &str) -> Result<Scope> {
    let invalid = |code, detail| Error::Invalid(vec![Fault::new("/warehouse", code, detail)]);
    if book.directory().warehouse(warehouse).is_none() {
        return Err(invalid("unknown", format!("there is no warehouse {warehouse}")));
    }
    let all = book.directory().scope(None).expect("without a channel there is always a scope");
    let candidates: Vec<_> = all.candidates.into_iter().filter(|candidate| candidate.code == warehouse).collect();
    if candidates.is_empty() {
        return Err(invalid("inactive", format!("the warehouse {warehouse} is not active")));
    }
    Ok(Scope { candidates, ..all })
}

/// What a scope has not enough of, all demands of a product together.
fn shortages(book: &Book, scope: &Scope, demands: &[Demand]) -> Vec<Shortage> {
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for demand in demands {
        *wanted.entry(&demand.sku).or_default() += demand.quantity;
    }
    let short = wanted.into_iter().map(|(sku, wanted)| (sku, wanted, book.available(scope, sku)));
    let short = short.filter(|(_, wanted, available)| wanted > available);
    short.map(|(sku, wanted, available)| Shortage::of(sku.to_owned(), wanted, available)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(parts: &[(&str, i64)], backordered: i64) -> Claim {
        let part =
            |(warehouse, quantity): &(&str, i64)| Part { warehouse: (*warehouse).to_owned(), quantity: *quantity };
        let sourced = Sourced { parts: parts.iter().map(part).collect(), backordered };
        Claim { order_line_id: Uuid::nil(), order_id: Uuid::nil(), sku: "TEA".to_owned(), sourced }
    }

    #[test]
    fn what_waits_is_given_up_first_and_then_the_smallest_part() {
        let claims = [claim(&[("a", 5), ("b", 2)], 3)];
        let some = |quantity, but| some_of(&claims, (Uuid::nil(), quantity), but).map(|it| it.sourced);
        assert_eq!(some(2, None), Some(claim(&[], 2).sourced));
        assert_eq!(some(4, None), Some(claim(&[("b", 1)], 3).sourced));
        assert_eq!(some(9, None), Some(claim(&[("b", 2), ("a", 4)], 3).sourced));
        assert_eq!(some(10, Some("b")), Some(claim(&[("a", 5)], 3).sourced));
        assert_eq!(some_of(&[claim(&[("b", 2)], 0)], (Uuid::nil(), 1), Some("b")), None);
    }
}
