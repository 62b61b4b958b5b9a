//! What others saw or did at a time of their own: held against the ledger as it was then, and booked now.
//!
//! [`Inventory::observe_in_tx`] locks the products and recalls how each level was when somebody looked;
//! the caller decides, and moves stock by [`Observed::book`]; [`Inventory::book_observed_in_tx`] writes it all. Between
//! the two nobody else can change these products, and what the caller reads of its own is as fresh as the book.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::book::{Book, Refused};
use super::model::place::{Condition, NewMovement, Place, Reference};
use super::model::views::AdjustmentReason;
use super::stock::place_faults;
use super::{Error, Inventory, Result, repo};
use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;

/// Somebody looked at a product in a warehouse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sighting {
    pub sku: String,
    pub warehouse: String,
    pub at: Timestamp,
}

/// What the books say of a sighting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// On hand then: what is on hand now, less what has moved since
    pub on_hand: i64,
    /// Goods have moved since
    pub moved_since: bool,
    /// Somebody has recounted since, and booked what was found
    pub recounted_since: bool,
}

/// A change of stock that somebody else saw or made.
pub struct ObservedChange<'a> {
    pub sku: &'a str,
    pub warehouse: &'a str,
    /// Not 0; negative takes away
    pub change: i64,
    pub at: Timestamp,
    pub reason: ObservedReason,
    pub note: Option<&'a str>,
    /// Who saw it
    pub feed: &'a str,
}

/// Why stock changed that others tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedReason {
    /// Another quantity was counted than the books had
    Counted,
    /// A change without a reason
    Reported,
    Given(AdjustmentReason),
}

impl ObservedReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Reported => "reported",
            Self::Given(reason) => reason.as_str(),
        }
    }

    fn counterpart(self) -> Place {
        match self {
            Self::Counted | Self::Reported => Place::Adjustment,
            Self::Given(reason) => reason.counterpart(),
        }
    }
}

/// What has moved at a level since a sighting, by the ledger.
#[derive(Clone, Copy, Default)]
pub(super) struct Since {
    pub moved: i64,
    pub any: bool,
    pub recounted: bool,
}

/// Products under lock, and how their levels were when somebody looked.
pub struct Observed {
    book: Book,
    missing: Vec<String>,
    ledger: HashMap<Sighting, Since>,
    /// What was booked here: when it happened, and by how much it changed the level
    booked: HashMap<(String, String), Vec<(Timestamp, i64)>>,
    movements: usize,
}

impl Inventory {
    /// Locks the products that were looked at, and recalls how they were: a fixed number of statements.
    pub async fn observe_in_tx(&self, conn: &mut PgConnection, sightings: &[Sighting]) -> Result<Observed> {
        let codes: Vec<&str> = sightings.iter().map(|sighting| sighting.warehouse.as_str()).collect();
        let missing = self.warehouses.pin_in_tx(conn, &codes).await?;
        let book = self.open(conn, sightings.iter().map(|sighting| sighting.sku.clone()).collect()).await?;
        let ledger = repo::ledger::since(conn, sightings).await?;
        Ok(Observed { book, missing, ledger, booked: HashMap::new(), movements: 0 })
    }

    /// Writes what was booked and tells of it; the movements are in the order in which they were booked.
    pub async fn book_observed_in_tx(
        &self,
        conn: &mut PgConnection,
        observed: Observed,
        actor: Uuid,
    ) -> Result<Vec<Uuid>> {
        Ok(self.close_and_tell(conn, observed.book, actor).await?.0)
    }

    /// The products that these barcodes are printed on; those of none are left out.
    pub async fn barcode_owners(&self, conn: &mut PgConnection, codes: &[&str]) -> Result<HashMap<String, String>> {
        Ok(repo::products::barcode_owners(conn, codes).await?)
    }
}

impl Observed {
    /// The database's clock, read after the locks were got.
    pub fn now(&self) -> Timestamp {
        self.book.now
    }

    /// What is wrong with a place; nothing where its product and its warehouse exist.
    pub fn faults(&self, sku: &str, warehouse: &str) -> Vec<Fault> {
        place_faults(&self.book, sku, warehouse, &self.missing)
    }

    /// How the level was at one of the sightings, with all that was booked here counted in.
    pub fn recall(&self, sighting: &Sighting) -> Recalled {
        let since = self.ledger.get(sighting).copied().unwrap_or_default();
        let place = (sighting.sku.clone(), sighting.warehouse.clone());
        let booked = self.booked.get(&place).into_iter().flatten().filter(|(at, _)| *at > sighting.at);
        let (moved, any) = booked.fold((since.moved, since.any), |(moved, _), (_, change)| (moved + change, true));
        let now = self.book.level(&sighting.sku, &sighting.warehouse).on_hand;
        Recalled { on_hand: now - moved, moved_since: any, recounted_since: since.recounted }
    }

    /// What may be taken away: good stock that nothing is promised from.
    pub fn free(&self, sku: &str, warehouse: &str) -> i64 {
        self.book.level(sku, warehouse).removable(Condition::Good).max(0)
    }

    /// Books a change of good stock; returns its place among the movements. Refused when less is free to go.
    pub fn book(&mut self, change: &ObservedChange<'_>) -> Result<usize> {
        let ObservedChange { sku, warehouse, change: by, at, reason, note, feed } = *change;
        let (here, elsewhere) = (Place::good(warehouse), reason.counterpart());
        let (from, to) = if by > 0 { (elsewhere, here) } else { (here, elsewhere) };
        let mut movement = NewMovement::new(sku, by.abs(), from, to, reason.as_str()).at(Some(at));
        movement.note = note.map(str::to_owned);
        movement.reference = Some(Reference { r#type: "feed", id: feed.to_owned() });
        self.book.move_stock(movement).map_err(|refused: Refused| Error::from(refused))?;
        self.booked.entry((sku.to_owned(), warehouse.to_owned())).or_default().push((at, by));
        self.movements += 1;
        Ok(self.movements - 1)
    }
}
