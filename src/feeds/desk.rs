//! Where the reports of a batch are taken, one after the other, in memory: each with all that is known, and with what those
//! before it did.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::model::decide::{Known, LastCount, Position, Saw, Verdict, decide};
use super::model::discrepancy::Discrepancy;
use super::model::report::{NewReport, Outcome, Reported};
use super::model::source::Source;
use super::repo::discrepancies::{Overtaking, Settled};
use super::repo::reports::{Taken, Taking};
use super::{Error, Result};
use crate::access::Limit;
use crate::inventory::{Observed, ObservedChange, ObservedReason, Shortage, Sighting};
use crate::platform::clock::Timestamp;
use crate::platform::id;
use crate::platform::problem::Fault;

/// A report and the place that it is about, or why there is none.
pub(super) struct Item<'a> {
    report: &'a NewReport,
    pub place: std::result::Result<Sighting, Unplaced>,
}

pub(super) enum Unplaced {
    Outside,
    Faults(Vec<Fault>),
}

impl<'a> Item<'a> {
    pub fn new(report: &'a NewReport, source: &Source, owners: &HashMap<String, String>, limit: &Limit) -> Self {
        Self { report, place: place(report, source, owners, limit) }
    }
}

fn place(
    report: &NewReport,
    source: &Source,
    owners: &HashMap<String, String>,
    limit: &Limit,
) -> std::result::Result<Sighting, Unplaced> {
    let mut faults = Vec::new();
    let sku = match (&report.sku, &report.barcode) {
        (Some(sku), _) => Some(sku.0.clone()),
        (None, Some(barcode)) => {
            let owner = owners.get(&barcode.0).cloned();
            if owner.is_none() {
                let detail = format!("there is no product with the barcode {}", barcode.0);
                faults.push(Fault::new("/barcode", "unknown", detail));
            }
            owner
        }
        (None, None) => None, // `NewReport::faults` says so
    };
    let warehouse = report.warehouse.as_ref().or(source.fields.warehouse.as_ref()).map(|code| code.0.clone());
    match &warehouse {
        Some(code) if !limit.allows(code) => return Err(Unplaced::Outside),
        Some(_) => {}
        None => {
            let detail = "the source has no warehouse of its own, so the report needs one";
            faults.push(Fault::new("/warehouse", "required", detail));
        }
    }
    match (sku, warehouse) {
        (Some(sku), Some(warehouse)) => Ok(Sighting { sku, warehouse, at: report.at() }),
        _ => Err(Unplaced::Faults(faults)),
    }
}

/// What became of a report: an entry of this batch, or what was made of it before.
pub(super) enum Done {
    Now(usize),
    /// A repetition within the batch
    Again(usize),
    Before(Reported),
}

/// A report that is no repetition, and what was made of it.
pub(super) struct Entry<'a> {
    report: &'a NewReport,
    pub reported: Reported,
    digest: Vec<u8>,
    /// Which of the movements booked it
    pub movement: Option<usize>,
    at: Timestamp,
    reason: &'static str,
    /// Of the discrepancy, if it is one
    id: Uuid,
    /// Whether another discrepancy says the same
    said: bool,
}

impl Entry<'_> {
    pub fn taking(&self) -> Taking<'_> {
        Taking { device: self.report.device(), digest: &self.digest, reported: &self.reported }
    }

    pub fn is_refused(&self) -> bool {
        self.reported.outcome == Outcome::Refused
    }

    /// Whether it is a count that differs from the books in a new way, or a change that cannot be booked.
    pub fn disagrees(&self) -> bool {
        let differs = self.reported.expected.is_some() && self.reported.difference != Some(0);
        (differs && !self.said) || self.is_refused()
    }

    pub fn discrepancy(&self, source: &str, now: Timestamp) -> Discrepancy {
        let Reported { outcome, sku, warehouse, sequence, expected, found, difference, booked, movement_id } =
            self.reported.clone();
        let difference = difference.unwrap_or_default();
        Discrepancy {
            id: self.id,
            source: source.to_owned(),
            device: self.report.device.clone(),
            sequence,
            sku,
            warehouse,
            outcome,
            reported_at: self.at,
            received_at: now,
            expected,
            found,
            difference,
            booked,
            open: difference - booked,
            movement_id,
            reason: self.reason.to_owned(),
            note: self.report.note.clone(),
        }
    }

    pub fn settled(&self) -> Option<Settled<'_>> {
        let Reported { outcome, sku, warehouse, sequence, booked, movement_id, .. } = &self.reported;
        self.report.change.and(*sequence).map(|sequence| Settled {
            device: self.report.device(),
            sequence,
            sku,
            warehouse,
            outcome: outcome.as_str(),
            booked: *booked,
            movement_id: *movement_id,
        })
    }
}

/// The newest count of a place in this batch.
pub(super) struct Counted {
    pub last: LastCount,
    /// Whether it, or one before it in the batch, says something new of what is open
    anew: bool,
    said_in: Option<Uuid>,
}

impl Counted {
    pub fn overtaking<'p>(&self, place: &'p (String, String)) -> Overtaking<'p> {
        let (sku, warehouse) = (place.0.as_str(), place.1.as_str());
        Overtaking { sku, warehouse, at: self.last.at, anew: self.anew, said_in: self.said_in }
    }
}

/// What was taken under a number, before or in this batch.
enum Under {
    Before(Taken),
    Now(usize),
}

/// Where reports are taken, one after the other: all that is known, with what the reports so far have changed.
pub(super) struct Desk<'a> {
    pub source: &'a str,
    pub observed: Observed,
    numbers: HashMap<(String, i64), Under>,
    counts: HashMap<(String, String), Vec<LastCount>>,
    /// The source's own newest counts of this batch
    pub counted: BTreeMap<(String, String), Counted>,
    pub entries: Vec<Entry<'a>>,
}

impl<'a> Desk<'a> {
    pub fn new(
        source: &'a str,
        observed: Observed,
        taken: HashMap<(String, i64), Taken>,
        counts: HashMap<(String, String), Vec<LastCount>>,
    ) -> Self {
        let numbers = taken.into_iter().map(|(number, taken)| (number, Under::Before(taken))).collect();
        Self { source, observed, numbers, counts, counted: BTreeMap::new(), entries: Vec::new() }
    }

    pub fn take(&mut self, item: &Item<'a>) -> Result<Done> {
        let report = item.report;
        let digest = report.digest();
        if let Err(Unplaced::Outside) = item.place {
            return Err(Error::Outside);
        }
        if let Some(done) = self.known(report, &digest)? {
            return Ok(done);
        }
        let (sighting, saw) = self.check(item)?;
        // A clock that is a little ahead does not make things happen later than now.
        let at = sighting.at.min(self.observed.now());
        let position = Position { source: self.source, device: report.device(), sequence: report.sequence, at };
        let verdict = self.decide(saw, &position, sighting);
        let reason = match (report.reason, saw) {
            (Some(reason), _) => ObservedReason::Given(reason),
            (None, Saw::Count(_)) => ObservedReason::Counted,
            (None, Saw::Change(_)) => ObservedReason::Reported,
        };
        let movement = if verdict.book == 0 { None } else { Some(self.book(report, sighting, at, &verdict, reason)?) };
        let reported = Reported {
            outcome: verdict.outcome,
            sku: sighting.sku.clone(),
            warehouse: sighting.warehouse.clone(),
            sequence: report.sequence,
            expected: verdict.expected,
            found: report.count,
            difference: verdict.difference,
            booked: verdict.book,
            movement_id: None,
        };
        let n = self.entries.len();
        let (id, reason) = (id::new(), reason.as_str());
        self.entries.push(Entry { report, reported, digest, movement, at, reason, id, said: false });
        if verdict.outcome == Outcome::Refused {
            let wanted = verdict.difference.unwrap_or_default().abs();
            let free = self.observed.free(&sighting.sku, &sighting.warehouse);
            return Err(Error::Short(Shortage::of(sighting.sku.clone(), wanted, free)));
        }
        if let Some(sequence) = report.sequence {
            self.numbers.insert((report.device().to_owned(), sequence), Under::Now(n));
        }
        if verdict.counts() {
            self.count(&position, sighting, &verdict, n);
        }
        Ok(Done::Now(n))
    }

    /// What was made of the report if it was taken already; refused when its number belongs to another.
    fn known(&self, report: &NewReport, digest: &[u8]) -> Result<Option<Done>> {
        let Some(sequence) = report.sequence else { return Ok(None) };
        let (first, done) = match self.numbers.get(&(report.device().to_owned(), sequence)) {
            None => return Ok(None),
            Some(Under::Before(taken)) => (&taken.digest, Done::Before(taken.reported.clone())),
            Some(Under::Now(n)) => (&self.entries[*n].digest, Done::Again(*n)),
        };
        if first == digest { Ok(Some(done)) } else { Err(Error::SequenceReused(sequence)) }
    }

    /// Refuses a report with every fault that it has.
    fn check<'i>(&self, item: &'i Item<'a>) -> Result<(&'i Sighting, Saw)> {
        let mut faults = item.report.faults(self.observed.now());
        match &item.place {
            Ok(place) => faults.extend(self.observed.faults(&place.sku, &place.warehouse)),
            Err(Unplaced::Faults(more)) => faults.extend(more.iter().cloned()),
            Err(Unplaced::Outside) => return Err(Error::Outside),
        }
        let saw = item.report.count.map(Saw::Count).or(item.report.change.map(Saw::Change));
        match (&item.place, saw) {
            (Ok(place), Some(saw)) if faults.is_empty() => Ok((place, saw)),
            _ => Err(Error::Invalid(faults)),
        }
    }

    fn decide(&self, saw: Saw, position: &Position<'_>, sighting: &Sighting) -> Verdict {
        let place = (sighting.sku.clone(), sighting.warehouse.clone());
        let known = Known {
            counts: self.counts.get(&place).map_or(&[], Vec::as_slice),
            books: self.observed.recall(sighting),
            free: self.observed.free(&sighting.sku, &sighting.warehouse),
        };
        decide(saw, position, &known)
    }

    fn book(
        &mut self,
        report: &NewReport,
        sighting: &Sighting,
        at: Timestamp,
        verdict: &Verdict,
        reason: ObservedReason,
    ) -> Result<usize> {
        let change = ObservedChange {
            sku: &sighting.sku,
            warehouse: &sighting.warehouse,
            change: verdict.book,
            at,
            reason,
            note: report.note.as_deref(),
            feed: self.source,
        };
        Ok(self.observed.book(&change)?)
    }

    /// The report is the newest count there is of the place.
    fn count(&mut self, position: &Position<'_>, sighting: &Sighting, verdict: &Verdict, n: usize) {
        let Position { source, device, sequence, at } = *position;
        let open = verdict.open();
        let last = LastCount { source: source.to_owned(), device: device.to_owned(), sequence, at, open };
        let place = (sighting.sku.clone(), sighting.warehouse.clone());
        let counts = self.counts.entry(place.clone()).or_default();
        let entry = &mut self.entries[n];
        entry.said = verdict.says_again(position, counts);
        counts.retain(|last| last.source != source);
        counts.push(last.clone());
        let counted = self.counted.entry(place).or_insert(Counted { last: last.clone(), anew: false, said_in: None });
        counted.last = last;
        if !entry.said {
            counted.anew = true;
            counted.said_in = (open != 0).then_some(entry.id);
        }
    }
}
