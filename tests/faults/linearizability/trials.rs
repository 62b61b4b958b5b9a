//! Histories made by hand, of which we know whether they are linearizable: a checker that cannot say no proves nothing.

use super::checker::{Operation, linearize, once_per_key};
use super::product::{Action, Answer, Ended, Level, Product};

type Step = (Action, u64, Option<(u64, Answer)>);

fn history(steps: Vec<(Option<usize>, Step)>) -> Vec<Operation<Action, Answer>> {
    let operation = |(key, (call, begun, ended))| Operation { key, call, begun, ended };
    steps.into_iter().map(operation).collect()
}

fn plain(steps: Vec<Step>) -> Vec<Operation<Action, Answer>> {
    history(steps.into_iter().map(|step| (None, step)).collect())
}

fn level(on_hand: i64, reserved: i64, allocated: i64) -> Answer {
    Answer::Level(Level { on_hand, reserved, allocated, available: on_hand - reserved - allocated })
}

fn reserve(name: usize, quantity: i64) -> Action {
    Action::Reserve { name, quantity }
}

/// Runs them all; panics with the name of the first that the checker gets wrong.
pub fn run() -> usize {
    let (yes, no) = (accepted(), rejected());
    let count = yes.len() + no.len();
    let explains = |history| once_per_key(history).is_ok_and(|it| linearize(Product::default(), &it).is_ok());
    for (name, history) in yes {
        assert!(explains(history), "the checker refuses: {name}");
    }
    for (name, history) in no {
        assert!(!explains(history), "the checker lets pass: {name}");
    }
    count
}

fn accepted() -> Vec<(&'static str, Vec<Operation<Action, Answer>>)> {
    let five = (Action::Adjust { change: 5 }, 0, Some((1, level(5, 0, 0))));
    vec![
        ("nothing", Vec::new()),
        (
            "of two at once either may be first",
            plain(vec![
                five.clone(),
                (reserve(1, 4), 2, Some((9, Answer::Short { available: 1 }))),
                (reserve(2, 4), 3, Some((8, Answer::Done))),
            ]),
        ),
        (
            "a read beside a write sees it or does not",
            plain(vec![
                five.clone(),
                (reserve(1, 2), 2, Some((9, Answer::Done))),
                (Action::Read, 3, Some((4, level(5, 0, 0)))),
                (Action::Read, 5, Some((6, level(5, 2, 0)))),
            ]),
        ),
        (
            "what was never answered may have happened late",
            plain(vec![
                five.clone(),
                (reserve(1, 3), 2, None),
                (Action::Read, 10, Some((11, level(5, 0, 0)))),
                (Action::Read, 20, Some((21, level(5, 3, 0)))),
            ]),
        ),
        (
            "or never",
            plain(vec![five.clone(), (reserve(1, 3), 2, None), (reserve(2, 5), 10, Some((11, Answer::Done)))]),
        ),
        (
            "a replay tells what the lost answer was",
            history(vec![
                (None, five.clone()),
                (Some(7), (reserve(1, 3), 2, None)),
                (None, (Action::Read, 4, Some((5, level(5, 3, 0))))),
                (Some(7), (reserve(1, 3), 6, Some((7, Answer::Done)))),
                (None, (Action::Read, 8, Some((9, level(5, 3, 0))))),
            ]),
        ),
        (
            "one of two ends of a hold wins",
            plain(vec![
                five,
                (reserve(1, 3), 2, Some((3, Answer::Done))),
                (Action::Release { hold: 1 }, 4, Some((9, Answer::Ended(Ended::Committed)))),
                (Action::Commit { name: 2, hold: 1 }, 5, Some((8, Answer::Done))),
                (Action::Cancel { order: 2 }, 10, Some((11, Answer::Done))),
                (Action::SetTo { set_to: 9, expected: 5 }, 12, Some((13, level(9, 0, 0)))),
            ]),
        ),
    ]
}

fn rejected() -> Vec<(&'static str, Vec<Operation<Action, Answer>>)> {
    let five = (Action::Adjust { change: 5 }, 0, Some((1, level(5, 0, 0))));
    let held = (reserve(1, 3), 2, Some((3, Answer::Done)));
    vec![
        (
            "oversold",
            plain(vec![
                five.clone(),
                (reserve(1, 3), 2, Some((9, Answer::Done))),
                (reserve(2, 3), 3, Some((8, Answer::Done))),
            ]),
        ),
        ("a stale read", plain(vec![five.clone(), held.clone(), (Action::Read, 4, Some((5, level(5, 0, 0))))])),
        (
            "reads that go back in time",
            plain(vec![
                five.clone(),
                (reserve(1, 2), 2, Some((20, Answer::Done))),
                (Action::Read, 3, Some((4, level(5, 2, 0)))),
                (Action::Read, 5, Some((6, level(5, 0, 0)))),
            ]),
        ),
        (
            "refused though there was enough all along",
            plain(vec![five.clone(), (reserve(1, 4), 2, Some((3, Answer::Short { available: 3 })))]),
        ),
        (
            "a key that worked twice",
            history(vec![
                (None, five.clone()),
                (Some(7), (reserve(1, 2), 2, Some((3, Answer::Done)))),
                (Some(7), (reserve(1, 2), 4, Some((5, Answer::Done)))),
                (None, (Action::Read, 6, Some((7, level(5, 4, 0))))),
            ]),
        ),
        (
            "two answers to one key",
            history(vec![
                (Some(7), (Action::Adjust { change: 5 }, 0, Some((1, level(5, 0, 0))))),
                (Some(7), (Action::Adjust { change: 5 }, 2, Some((3, level(10, 0, 0))))),
            ]),
        ),
        (
            "a replay whose effect came after its first answer",
            history(vec![
                (None, five.clone()),
                (Some(7), (reserve(1, 2), 2, Some((3, Answer::Done)))),
                (None, (Action::Read, 4, Some((5, level(5, 0, 0))))),
                (Some(7), (reserve(1, 2), 6, Some((7, Answer::Done)))),
                (None, (Action::Read, 8, Some((9, level(5, 2, 0))))),
            ]),
        ),
        (
            "a lost write that shows, then does not",
            plain(vec![
                five.clone(),
                (reserve(1, 3), 2, None),
                (Action::Read, 4, Some((5, level(5, 3, 0)))),
                (Action::Read, 6, Some((7, level(5, 0, 0)))),
            ]),
        ),
        (
            "a write that shows before it was asked for",
            plain(vec![
                five.clone(),
                (Action::Read, 2, Some((3, level(5, 3, 0)))),
                (reserve(1, 3), 4, Some((5, Answer::Done))),
            ]),
        ),
        (
            "a hold that ended twice",
            plain(vec![
                five.clone(),
                held.clone(),
                (Action::Release { hold: 1 }, 4, Some((9, Answer::Done))),
                (Action::Commit { name: 2, hold: 1 }, 5, Some((8, Answer::Done))),
            ]),
        ),
        (
            "what is promised was taken away",
            plain(vec![five.clone(), held, (Action::Adjust { change: -4 }, 4, Some((5, level(1, 3, 0))))]),
        ),
        (
            "set blindly",
            plain(vec![
                five,
                (Action::Adjust { change: 1 }, 2, Some((3, level(6, 0, 0)))),
                (Action::SetTo { set_to: 9, expected: 5 }, 4, Some((5, level(9, 0, 0)))),
            ]),
        ),
    ]
}
