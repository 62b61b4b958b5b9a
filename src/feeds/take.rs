//! Taking reports: one transaction for a batch, a fixed number of statements, and for each report its own outcome.
//!
//! 1. *lock*: the devices, the source, and through inventory the warehouses and products
//! 2. *read*: what was taken already, the last counts, and how the levels were at each report's time
//! 3. *decide*: each report in order, in memory, with what those before it did
//! 4. *write*: the movements, what is taken, the newest counts, the discrepancies and the news

use sqlx::PgConnection;
use uuid::Uuid;

use super::desk::{Desk, Done, Entry, Item};
use super::model::discrepancy::Discrepancy;
use super::model::report::{NewReport, Outcome, Reported};
use super::repo::discrepancies::{Overtaking, Settled};
use super::repo::reports::Taking;
use super::{Error, Feeds, Result, events, repo};
use crate::access::Limit;
use crate::events::Events;
use crate::inventory::Sighting;

impl Feeds {
    /// Takes each report of a source on its own, in order; one that is refused does not fail its neighbours.
    ///
    /// The reports are as the schema of `NewReport` asks; what it cannot say is checked here, and that they are about
    /// warehouses within `limit`. Changes that are refused leave a discrepancy, so commit also when nothing was booked.
    /// Whoever comes again with the same reports, by whatever door, changes nothing.
    pub async fn report_in_tx(
        &self,
        conn: &mut PgConnection,
        source: &str,
        reports: &[NewReport],
        limit: &Limit,
        actor: Uuid,
    ) -> Result<Vec<Result<Reported>>> {
        let numbers: Vec<(&str, i64)> = reports.iter().filter_map(|r| Some((r.device(), r.sequence?))).collect();
        let devices: Vec<&str> = numbers.iter().map(|(device, _)| *device).collect();
        repo::reports::lock_devices(conn, source, &devices).await?;
        let found = repo::sources::share(conn, source).await?;
        let source = found.ok_or_else(|| Error::NoSource(source.to_owned()))?;
        if reports.is_empty() {
            return Ok(Vec::new());
        }

        let codes: Vec<&str> = reports.iter().filter_map(|r| Some(r.barcode.as_ref()?.0.as_str())).collect();
        let owners = self.inventory.barcode_owners(conn, &codes).await?;
        let items: Vec<Item<'_>> = reports.iter().map(|report| Item::new(report, &source, &owners, limit)).collect();
        let sightings: Vec<Sighting> = items.iter().filter_map(|item| item.place.as_ref().ok().cloned()).collect();
        let observed = self.inventory.observe_in_tx(conn, &sightings).await?;

        let taken = repo::reports::taken(conn, &source.code, &numbers).await?;
        let places: Vec<(&str, &str)> = sightings.iter().map(|s| (s.sku.as_str(), s.warehouse.as_str())).collect();
        let counts = repo::reports::last_counts(conn, &places).await?;
        let mut desk = Desk::new(&source.code, observed, taken, counts);
        let outcomes: Vec<Result<Done>> = items.iter().map(|item| desk.take(item)).collect();
        let entries = self.write(conn, desk, actor).await?;

        let answers = outcomes.into_iter().map(|outcome| match outcome? {
            Done::Now(n) => Ok(entries[n].clone()),
            Done::Again(n) => Ok(Reported { outcome: Outcome::Duplicate, ..entries[n].clone() }),
            Done::Before(reported) => Ok(Reported { outcome: Outcome::Duplicate, ..reported }),
        });
        Ok(answers.collect())
    }

    /// Books what was decided, and remembers it; gives back what was made of each report that was not a repetition.
    async fn write(&self, conn: &mut PgConnection, desk: Desk<'_>, actor: Uuid) -> Result<Vec<Reported>> {
        let Desk { source, observed, mut entries, counted, .. } = desk;
        let now = observed.now();
        let movements = self.inventory.book_observed_in_tx(conn, observed, actor).await?;
        for entry in &mut entries {
            entry.reported.movement_id = entry.movement.map(|n| movements[n]);
        }
        let taken = entries.iter().filter(|entry| !entry.is_refused());
        let numbered: Vec<&Entry<'_>> = taken.filter(|entry| entry.reported.sequence.is_some()).collect();
        let rows: Vec<Taking<'_>> = numbered.iter().map(|entry| entry.taking()).collect();
        repo::reports::insert(conn, source, now, &rows).await?;
        let counts: Vec<_> = counted.iter().map(|(place, counted)| (place, &counted.last)).collect();
        repo::reports::put_counts(conn, now, &counts).await?;

        let disagreeing = entries.iter().filter(|entry| entry.disagrees());
        let found: Vec<Discrepancy> = disagreeing.map(|entry| entry.discrepancy(source, now)).collect();
        let new = repo::discrepancies::insert(conn, &found).await?;
        let settled: Vec<Settled<'_>> = numbered.iter().filter_map(|entry| entry.settled()).collect();
        repo::discrepancies::settle(conn, source, &settled).await?;
        let overtaking: Vec<Overtaking<'_>> =
            counted.iter().map(|(place, counted)| counted.overtaking(place)).collect();
        repo::discrepancies::overtake(conn, &overtaking).await?;
        let news: Vec<_> = found.iter().filter(|d| new.contains(&d.id)).map(events::discrepancy).collect();
        Events::publish_in_tx(conn, &news).await?;
        Ok(entries.into_iter().map(|entry| entry.reported).collect())
    }
}

/// Whether a report was not taken before, or leaves a discrepancy that it is refused.
pub(super) fn is_of_a_change(outcome: &Result<Reported>) -> bool {
    match outcome {
        Ok(reported) => reported.outcome != Outcome::Duplicate,
        Err(error) => matches!(error, Error::Short(_)),
    }
}
