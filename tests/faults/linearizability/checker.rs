//! Is a concurrent history linearizable: can every call be given one moment between its beginning and its end,
//! such that the answers are those of the calls made one by one at these moments?
//!
//! The search is that of J. M. Wing and C. Gong, "Testing and Verifying Concurrent Objects" (Journal of Parallel
//! and Distributed Computing 17, 1993), with the memory of configurations that G. Lowe added in "Testing for
//! Linearizability" (Concurrency and Computation: Practice and Experience 29, 2017): what has been tried from a
//! state with the same calls done need not be tried again. The question is NP-complete; a hundred calls of a
//! handful of clients are quick, because few of them are open at a time.
//!
//! A call whose answer never came may have happened at any time since, or not at all.

use std::collections::HashSet;
use std::hash::Hash;

/// What the object is to do, call by call.
pub trait Object: Clone + Eq + Hash {
    type Call;
    type Answer: PartialEq;

    /// The object after the call, and what it answers.
    fn call(&self, call: &Self::Call) -> (Self, Self::Answer);
}

/// A call as a client saw it; moments are nanoseconds of one clock.
#[derive(Clone, Debug)]
pub struct Operation<C, A> {
    /// Its Idempotency-Key
    pub key: Option<usize>,
    pub call: C,
    pub begun: u64,
    /// `None`: nobody knows what became of it
    pub ended: Option<(u64, A)>,
}

/// Makes one call of all that were made under one key, for the key says that it has one effect and one answer: after
/// the first was begun, and before any answer. `Err` has the key of which the answers differ.
pub fn once_per_key<C, A: PartialEq>(history: Vec<Operation<C, A>>) -> Result<Vec<Operation<C, A>>, usize> {
    let mut once: Vec<Operation<C, A>> = Vec::new();
    for again in history {
        let Some(first) = once.iter_mut().find(|it| it.key.is_some() && it.key == again.key) else {
            once.push(again);
            continue;
        };
        first.begun = first.begun.min(again.begun);
        first.ended = match (first.ended.take(), again.ended) {
            (Some((_, one)), Some((_, other))) if one != other => return Err(again.key.unwrap_or_default()),
            (Some((one, answer)), Some((other, _))) => Some((one.min(other), answer)),
            (one, other) => one.or(other),
        };
    }
    Ok(once)
}

/// Calls are numbered by bits.
pub const MOST_CALLS: usize = 128;

/// A search that comes this far is given up.
const MOST_STATES: usize = 500_000;

/// An order of the calls that explains the history, or else the longest that explains part of it.
pub fn linearize<O: Object>(object: O, history: &[Operation<O::Call, O::Answer>]) -> Result<Vec<usize>, Vec<usize>> {
    assert!(history.len() <= MOST_CALLS, "the checker takes {MOST_CALLS} calls, not {}", history.len());
    // Calls that ended early are tried first: that is their likely order.
    let mut by_end: Vec<usize> = (0..history.len()).collect();
    by_end.sort_by_key(|n| end(&history[*n]));
    let mut search = Search { history, by_end, seen: HashSet::new(), order: Vec::new(), best: Vec::new() };
    if search.explains(&object, 0) { Ok(search.order) } else { Err(search.best) }
}

fn end<C, A>(operation: &Operation<C, A>) -> u64 {
    operation.ended.as_ref().map_or(u64::MAX, |(at, _)| *at)
}

struct Search<'a, O: Object> {
    history: &'a [Operation<O::Call, O::Answer>],
    by_end: Vec<usize>,
    /// States reached, with the calls done by then: from here there is no way, or it is being tried
    seen: HashSet<(u128, O)>,
    order: Vec<usize>,
    best: Vec<usize>,
}

impl<O: Object> Search<'_, O> {
    /// Whether the calls that are not `done` can be explained from here on.
    fn explains(&mut self, object: &O, done: u128) -> bool {
        let open: Vec<usize> = self.by_end.iter().copied().filter(|n| done & (1 << n) == 0).collect();
        // Sorted by their end: once the first is of unknown outcome, all are, and none of them need have happened.
        let Some(first) = open.first().filter(|n| self.history[**n].ended.is_some()) else { return true };
        let horizon = end(&self.history[*first]);
        for n in open {
            let operation = &self.history[n];
            // What began after another had ended comes after it.
            if operation.begun > horizon {
                continue;
            }
            let (next, answer) = object.call(&operation.call);
            let fits = match &operation.ended {
                Some((_, seen)) => *seen == answer,
                // Had it done nothing, it need not have happened.
                None => next != *object,
            };
            let done = done | (1 << n);
            assert!(self.seen.len() < MOST_STATES, "the history is too tangled to be decided");
            if fits && self.seen.insert((done, next.clone())) {
                self.order.push(n);
                if self.explains(&next, done) {
                    return true;
                }
                self.order.pop();
            }
        }
        if self.order.len() > self.best.len() {
            self.best.clone_from(&self.order);
        }
        false
    }
}
