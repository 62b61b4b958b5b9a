//! Decisions one by one, and any order of the same reports against a model of where they end.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::*;

fn second(n: i64) -> Timestamp {
    Timestamp(DateTime::UNIX_EPOCH + TimeDelta::seconds(n))
}

fn at(n: i64, sequence: Option<i64>) -> Position<'static> {
    Position { source: "scales", device: "", sequence, at: second(n) }
}

fn last(n: i64, sequence: Option<i64>) -> LastCount {
    LastCount { source: "scales".into(), device: String::new(), sequence, at: second(n), open: 0 }
}

fn books(on_hand: i64) -> Recalled {
    Recalled { on_hand, moved_since: false, recounted_since: false }
}

fn outcome(saw: Saw, report: Position<'_>, counts: &[LastCount], books: Recalled, free: i64) -> (Outcome, i64) {
    let verdict = decide(saw, &report, &Known { counts, books, free });
    (verdict.outcome, verdict.book)
}

#[test]
fn a_count_is_held_against_what_there_was() {
    let count = |found, books, free| outcome(Saw::Count(found), at(5, None), &[], books, free);
    assert_eq!(count(10, books(10), 10), (Outcome::Unchanged, 0));
    assert_eq!(count(12, books(10), 10), (Outcome::Applied, 2));
    assert_eq!(count(7, books(10), 10), (Outcome::Applied, -3));
    let moved = Recalled { moved_since: true, ..books(10) };
    assert_eq!(count(7, moved, 10), (Outcome::Reconciled, -3));
    assert_eq!(count(10, moved, 10), (Outcome::Unchanged, 0));
    assert_eq!(count(7, moved, 2), (Outcome::Partial, -2));
    assert_eq!(count(7, books(10), 0), (Outcome::Partial, 0));
    assert_eq!(count(12, books(10), 0), (Outcome::Applied, 2));
    let recounted = Recalled { recounted_since: true, ..moved };
    assert_eq!(count(7, recounted, 10), (Outcome::Stale, 0));
}

#[test]
fn the_newest_count_of_any_source_holds() {
    let count = |report, counts: &[LastCount]| outcome(Saw::Count(7), report, counts, books(10), 10).0;
    let till = LastCount { source: "till".into(), ..last(6, Some(1)) };
    assert_eq!(count(at(5, None), &[last(6, None)]), Outcome::Stale);
    assert_eq!(count(at(5, None), std::slice::from_ref(&till)), Outcome::Stale);
    assert_eq!(count(at(6, None), &[last(6, None)]), Outcome::Applied);
    // A clock that went back does not make a count new, nor a number that did.
    assert_eq!(count(at(5, Some(9)), &[last(6, Some(8))]), Outcome::Stale);
    assert_eq!(count(at(7, Some(7)), &[last(6, Some(8))]), Outcome::Stale);
    assert_eq!(count(at(7, Some(9)), &[last(6, Some(8))]), Outcome::Applied);
    // Numbers are of one device.
    assert_eq!(count(at(7, Some(0)), &[till]), Outcome::Applied);
}

#[test]
fn a_change_is_booked_whole_unless_a_count_has_seen_it() {
    let change = |by, report, counts: &[LastCount], free| outcome(Saw::Change(by), report, counts, books(10), free);
    assert_eq!(change(-3, at(5, Some(1)), &[], 3), (Outcome::Applied, -3));
    assert_eq!(change(-3, at(5, Some(1)), &[], 2), (Outcome::Refused, 0));
    assert_eq!(change(3, at(5, Some(1)), &[], 0), (Outcome::Applied, 3));
    assert_eq!(change(-3, at(5, Some(1)), &[last(6, Some(2))], 0), (Outcome::Contained, 0));
    assert_eq!(change(-3, at(7, Some(3)), &[last(6, Some(2))], 9), (Outcome::Applied, -3));
    // Of the same instant, the number tells.
    assert_eq!(change(-3, at(6, Some(3)), &[last(6, Some(2))], 9), (Outcome::Applied, -3));
    assert_eq!(change(-3, at(6, Some(1)), &[last(6, Some(2))], 9), (Outcome::Contained, 0));
    assert_eq!(change(-3, at(6, Some(3)), &[last(6, None)], 9), (Outcome::Contained, 0));
    let recounted = Recalled { recounted_since: true, ..books(10) };
    assert_eq!(outcome(Saw::Change(-3), at(5, Some(1)), &[], recounted, 9).0, Outcome::Contained);
}

#[test]
fn what_stays_open_is_told_once() {
    let again = |found, free, counts: &[LastCount]| {
        let known = Known { counts, books: books(10), free };
        decide(Saw::Count(found), &at(7, None), &known).says_again(&at(7, None), counts)
    };
    let open = |n, by| LastCount { open: by, ..last(n, None) };
    assert!(again(7, 0, &[open(6, -3)]));
    assert!(!again(7, 0, &[]));
    assert!(!again(7, 0, &[open(6, -2)]), "another quantity is missing");
    assert!(!again(7, 1, &[open(6, -3)]), "some can be booked");
    assert!(!again(10, 0, &[open(6, 0)]), "nothing is missing");
    assert!(!again(7, 0, &[open(5, -3), LastCount { source: "till".into(), ..open(6, 0) }]), "another denied it");
}

/// A level with its ledger, as inventory keeps them.
#[derive(Default)]
struct Place {
    ledger: Vec<(Timestamp, i64)>,
    counts: Vec<LastCount>,
}

impl Place {
    fn on_hand_at(&self, at: Timestamp) -> i64 {
        self.ledger.iter().filter(|(moved_at, _)| *moved_at <= at).map(|(_, by)| by).sum()
    }

    fn on_hand(&self) -> i64 {
        self.ledger.iter().map(|(_, by)| by).sum()
    }

    fn take(&mut self, saw: Saw, report: Position<'_>) -> Outcome {
        let moved_since = self.ledger.iter().any(|(moved_at, _)| *moved_at > report.at);
        let books = Recalled { on_hand: self.on_hand_at(report.at), moved_since, recounted_since: false };
        let verdict = decide(saw, &report, &Known { counts: &self.counts, books, free: self.on_hand() });
        if verdict.book != 0 {
            self.ledger.push((report.at, verdict.book));
        }
        if verdict.counts() {
            self.counts.retain(|count| count.source != report.source);
            let Position { source, device, sequence, at } = report;
            self.counts.push(LastCount {
                source: source.into(),
                device: device.into(),
                sequence,
                at,
                open: verdict.open(),
            });
        }
        verdict.outcome
    }
}

#[derive(Clone, Debug)]
struct Told {
    saw: Saw,
    source: &'static str,
    at: i64,
}

/// Reports of two sources at different times, of a place that is never short, and an order in which they come.
fn reports() -> impl Strategy<Value = (Vec<Told>, Vec<usize>)> {
    let saw = prop_oneof![
        (5_000..10_000i64).prop_map(Saw::Count),
        (-9..10i64).prop_filter_map("no change", |by| (by != 0).then_some(Saw::Change(by))),
    ];
    let told = (saw, any::<bool>()).prop_map(|(saw, own)| (saw, if own { "scales" } else { "till" }));
    prop::collection::vec(told, 1..12).prop_flat_map(|told| {
        let told: Vec<Told> = told.into_iter().zip(1..).map(|((saw, source), at)| Told { saw, source, at }).collect();
        let order = Just((0..told.len()).collect::<Vec<usize>>()).prop_shuffle();
        (Just(told), order)
    })
}

proptest! {
    /// Whatever the order: as the newest count says, and what has moved since, by report or by sale.
    #[test]
    fn any_order_of_the_same_reports_ends_the_same((told, order) in reports(), sold_at in 0..13i64) {
        let mut place = Place { ledger: vec![(second(-1), 8_000), (second(sold_at), -50)], ..Place::default() };
        for n in order {
            let Told { saw, source, at } = told[n];
            let outcome = place.take(saw, Position { source, device: "", sequence: Some(at), at: second(at) });
            prop_assert!(!matches!(outcome, Outcome::Refused | Outcome::Partial));
        }
        let newest = told.iter().rposition(|it| matches!(it.saw, Saw::Count(_)));
        let (base, since) = match newest.map(|n| (told[n].saw, n)) {
            Some((Saw::Count(found), n)) => (found, n + 1),
            _ => (8_000, 0),
        };
        let counted_at = if since == 0 { -1 } else { told[since - 1].at };
        let sold = if sold_at > counted_at { -50 } else { 0 };
        let moved: i64 = told[since..].iter().map(|it| match it.saw {
            Saw::Change(by) => by,
            Saw::Count(_) => 0,
        }).sum();
        prop_assert_eq!(place.on_hand(), base + sold + moved);
    }
}
