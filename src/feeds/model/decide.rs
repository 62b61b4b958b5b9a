//! What a report means, given all that is known when it comes.
//!
//! **In whatever order reports come**, the level ends the same: as the newest count says, with all that has moved
//! since. A change is booked at the time it was seen, so a count that comes later and is older takes it off again; a
//! change that is older than a count taken already is in that count.
//!
//! **What is promised stays promised.** A count tells that goods are gone, so whatever can be booked of it is, and
//! nobody buys it any more; the rest is promised to somebody, and stays open until people decide. A change is booked
//! in one piece or not at all, so that changes may come in any order: what came too early is sent again.

use super::report::Outcome;
use crate::inventory::Recalled;
use crate::platform::clock::Timestamp;

/// What a source saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    Count(i64),
    Change(i64),
}

/// Which report it is among those of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    pub source: &'a str,
    pub device: &'a str,
    pub sequence: Option<i64>,
    pub at: Timestamp,
}

/// The last count that was taken of a product in a warehouse, of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCount {
    pub source: String,
    pub device: String,
    pub sequence: Option<i64>,
    pub at: Timestamp,
    /// What could not be booked of it
    pub open: i64,
}

impl LastCount {
    /// How this count's number compares with that of a report of the same device.
    fn number_before(&self, report: &Position<'_>) -> Option<bool> {
        let same = self.source == report.source && self.device == report.device;
        same.then(|| Some(self.sequence? < report.sequence?)).flatten()
    }

    /// Whether a change was made before it was counted: by the clock, or by its number, as clocks may be set back.
    /// Of the same instant, the number decides; without one, the count is thought to have seen the change.
    fn has_seen(&self, change: &Position<'_>) -> bool {
        change.at < self.at
            || match self.number_before(change) {
                Some(before) => !before,
                None => change.at == self.at,
            }
    }

    /// Whether another count is older than this one, by the clock or by its number.
    fn overtakes(&self, count: &Position<'_>) -> bool {
        count.at < self.at || self.number_before(count) == Some(false)
    }
}

/// All that is known when a report comes.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Of all sources: a count is of what is there, whoever counts
    pub counts: &'a [LastCount],
    pub books: Recalled,
    /// What may be taken away
    pub free: i64,
}

/// What is to be done with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub expected: Option<i64>,
    pub difference: Option<i64>,
    /// What to book: a part of the difference
    pub book: i64,
}

impl Verdict {
    fn nothing(outcome: Outcome) -> Self {
        Self { outcome, expected: None, difference: None, book: 0 }
    }

    /// Whether it is of a count, which is the newest there is now.
    pub fn counts(&self) -> bool {
        self.expected.is_some()
    }

    /// What cannot be booked.
    pub fn open(&self) -> i64 {
        self.difference.unwrap_or_default() - self.book
    }

    /// Whether it is of a count that says only what the source's last one said, and no newer one denied: that the same is
    /// missing still, and cannot be booked still. Scales that count every minute tell that once.
    pub fn says_again(&self, report: &Position<'_>, counts: &[LastCount]) -> bool {
        let newest = counts.iter().max_by_key(|count| count.at);
        let same = newest.is_some_and(|last| last.source == report.source && last.open == self.open());
        self.counts() && self.book == 0 && self.open() != 0 && same
    }
}

pub fn decide(saw: Saw, report: &Position<'_>, known: &Known<'_>) -> Verdict {
    match saw {
        Saw::Count(found) => decide_count(found, report, known),
        Saw::Change(change) => decide_change(change, report, known),
    }
}

fn decide_count(found: i64, report: &Position<'_>, known: &Known<'_>) -> Verdict {
    if known.books.recounted_since || known.counts.iter().any(|count| count.overtakes(report)) {
        return Verdict::nothing(Outcome::Stale);
    }
    let expected = known.books.on_hand;
    let difference = found - expected;
    let book = difference.max(-known.free);
    let outcome = if difference == 0 {
        Outcome::Unchanged
    } else if book != difference {
        Outcome::Partial
    } else if known.books.moved_since {
        Outcome::Reconciled
    } else {
        Outcome::Applied
    };
    Verdict { outcome, expected: Some(expected), difference: Some(difference), book }
}

fn decide_change(change: i64, report: &Position<'_>, known: &Known<'_>) -> Verdict {
    if known.books.recounted_since || known.counts.iter().any(|count| count.has_seen(report)) {
        return Verdict::nothing(Outcome::Contained);
    }
    let (outcome, book) = if -change > known.free { (Outcome::Refused, 0) } else { (Outcome::Applied, change) };
    Verdict { outcome, expected: None, difference: Some(change), book }
}

#[cfg(test)]
mod tests;
