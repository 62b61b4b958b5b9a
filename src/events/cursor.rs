//! A place in the feed, as readers keep it.

use std::sync::OnceLock;

use crate::platform::page;
use crate::platform::problem::{Problem, STALE_CURSOR};

/// A position, and the feed that it is one of: after a restore another begins, which may have other events at the
/// positions that were read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub feed: i64,
    pub position: i64,
}

impl Cursor {
    pub fn encode(self) -> String {
        page::encode(&(self.feed, self.position))
    }

    pub fn decode(cursor: &str) -> Result<Self, Problem> {
        let (feed, position) = page::decode(cursor)?;
        Ok(Self { feed, position })
    }
}

/// A feed from its beginning to a restore, or to now.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    pub feed: i64,
    /// The last position that a restore kept; `None` is the feed of today
    pub ended_at: Option<i64>,
    /// Up to here, events were too old to be kept.
    pub forgotten_to: i64,
}

/// All feeds there were. A restore is made where no server runs, so those are read once.
pub type History = OnceLock<Vec<Past>>;

/// Where to read on from a cursor. Pure.
pub fn resume(pasts: &[Past], cursor: Option<Cursor>) -> Result<i64, Problem> {
    let forgotten_to = pasts.iter().map(|past| past.forgotten_to).max().unwrap_or(0);
    let Some(cursor) = cursor else { return Ok(forgotten_to) };
    let stale = |why: &str| Err(Problem::new(&STALE_CURSOR, why).with("resync", &"/v1/stock/snapshot"));
    let Some(past) = pasts.iter().find(|past| past.feed == cursor.feed) else {
        return stale("this cursor is of another instance's feed");
    };
    if past.ended_at.is_some_and(|end| cursor.position > end) {
        return stale("a backup was restored that does not have all that was read up to this cursor");
    }
    if cursor.position < forgotten_to {
        return stale("events after this cursor were too old to be kept");
    }
    Ok(cursor.position)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASTS: &[Past] =
        &[Past { feed: 7, ended_at: Some(100), forgotten_to: 0 }, Past { feed: 8, ended_at: None, forgotten_to: 40 }];

    fn at(feed: i64, position: i64) -> Option<i64> {
        resume(PASTS, Some(Cursor { feed, position })).ok()
    }

    #[test]
    fn a_cursor_goes_on_where_nothing_is_missing() {
        assert_eq!(at(8, 40), Some(40));
        assert_eq!(at(8, 5000), Some(5000));
        assert_eq!(at(7, 100), Some(100), "of before the restore, and the backup has all of it");
        assert_eq!(resume(PASTS, None).unwrap(), 40, "the beginning is what is kept");
    }

    #[test]
    fn a_cursor_that_would_miss_something_is_refused() {
        assert_eq!(at(7, 101), None, "read more than the backup has");
        assert_eq!(at(8, 39), None, "what follows was forgotten");
        assert_eq!(at(9, 50), None, "of another instance");
    }

    #[test]
    fn a_cursor_survives_its_text() {
        let cursor = Cursor { feed: 1 << 47, position: i64::MAX };
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        assert!(Cursor::decode("NDI").is_err());
    }
}
