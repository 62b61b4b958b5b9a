//! How often: a token bucket for each address or key, in a table of fixed size.
//!
//! Crates for this keep an entry for each address they have seen, and whoever has many addresses fills the memory.
//! Here an address is counted in two cells, found by two hashes that nobody outside can predict, and is let pass when
//! either has room: so who behaves is only taken for others when both cells belong to somebody who does not.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const CELLS: usize = 1 << 15;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// A bucket of `quota` tokens that fills up in `window`.
pub struct Rate {
    name: &'static str,
    quota: u64,
    window: u64,
    begun: Instant,
    rows: [(RandomState, Box<[AtomicU64]>); 2],
}

/// What is left to somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub tokens: u64,
    /// Nanoseconds until there is a token, and until the bucket is full
    next: u64,
    full: u64,
}

impl Rate {
    /// `None` where no limit is asked for.
    pub fn new(name: &'static str, quota: u32, window: Duration) -> Option<Self> {
        let row = || (RandomState::new(), (0..CELLS).map(|_| AtomicU64::new(0)).collect());
        let window = u64::try_from(window.as_nanos()).expect("windows are short");
        (quota > 0).then(|| Self { name, quota: quota.into(), window, begun: Instant::now(), rows: [row(), row()] })
    }

    /// Takes a token, if there is one.
    pub fn take(&self, key: &impl Hash) -> Result<Left, Left> {
        self.take_at(key, self.now())
    }

    /// How it stands, with nothing taken.
    pub fn look(&self, key: &impl Hash) -> Left {
        let now = self.now();
        self.best(self.cells(key).map(|cell| cell.load(Relaxed).max(now)), now)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).expect("no server runs for 584 years")
    }

    fn cells(&self, key: &impl Hash) -> [&AtomicU64; 2] {
        let [one, two] = &self.rows;
        [one, two].map(|(hash, cells)| &cells[usize::try_from(hash.hash_one(key)).expect("64 bits") % CELLS])
    }

    /// A cell holds the moment at which its bucket will be full.
    fn take_at(&self, key: &impl Hash, now: u64) -> Result<Left, Left> {
        let step = self.step();
        let taken = self.cells(key).map(|cell| {
            let take = |full: u64| {
                let later = full.max(now) + step;
                (later <= now + self.window).then_some(later)
            };
            cell.fetch_update(Relaxed, Relaxed, take).map(|full| full.max(now) + step).map_err(|full| full.max(now))
        });
        match taken {
            [Err(one), Err(two)] => Err(self.best([one, two], now)),
            [one, two] => Ok(self.best([one, two].map(|cell| cell.unwrap_or(u64::MAX)), now)),
        }
    }

    fn step(&self) -> u64 {
        (self.window / self.quota).max(1)
    }

    fn best(&self, cells: [u64; 2], now: u64) -> Left {
        let full = cells[0].min(cells[1]) - now;
        let step = self.step();
        let tokens = self.window.saturating_sub(full) / step;
        Left { tokens, next: (full + step).saturating_sub(self.window), full }
    }

    /// As draft-ietf-httpapi-ratelimit-headers-10 writes it. Several limits are several members of one list.
    pub fn tell(&self, left: Left, headers: &mut HeaderMap) {
        let Self { name, quota, window, .. } = self;
        let policy = format!("\"{name}\";q={quota};w={}", window / 1_000_000_000);
        let state = format!("\"{name}\";r={};t={}", left.tokens, left.full.div_ceil(1_000_000_000));
        for (header, value) in [(POLICY, policy), (STATE, state)] {
            headers.append(header, HeaderValue::try_from(value).expect("names and numbers are visible characters"));
        }
    }
}

impl Left {
    /// In how many seconds it is worth to try again.
    pub fn retry_after(self) -> u64 {
        self.next.div_ceil(1_000_000_000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(quota: u32) -> Rate {
        Rate::new("address", quota, Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn a_bucket_is_emptied_and_fills_again() {
        let rate = rate(6);
        let left: Vec<u64> = (0..6).map(|_| rate.take_at(&"a", 5).unwrap().tokens).collect();
        assert_eq!(left, [5, 4, 3, 2, 1, 0]);
        assert_eq!(rate.take_at(&"a", 5).unwrap_err().retry_after(), 10);
        assert_eq!(rate.take_at(&"b", 5).unwrap().tokens, 5);
        assert_eq!(rate.take_at(&"a", 5 + 4 * SECOND).unwrap_err().retry_after(), 6);
        assert_eq!(rate.take_at(&"a", 5 + 10 * SECOND).unwrap().tokens, 0);
        assert_eq!(rate.take_at(&"a", 5 + 1000 * SECOND).unwrap().tokens, 5);
    }

    #[test]
    fn looking_takes_nothing() {
        let rate = rate(2);
        assert_eq!((rate.look(&1).tokens, rate.look(&1).tokens), (2, 2));
    }

    #[test]
    fn the_headers_are_structured_fields() {
        let rate = rate(6);
        let mut headers = HeaderMap::new();
        rate.tell(rate.take_at(&"a", 5).unwrap(), &mut headers);
        assert_eq!(headers[POLICY], "\"address\";q=6;w=60");
        assert_eq!(headers[STATE], "\"address\";r=5;t=10");
    }

    #[test]
    fn many_who_misbehave_hardly_hurt_the_others() {
        let rate = rate(1);
        for bad in 0..2000 {
            while rate.take_at(&bad, 5).is_ok() {}
        }
        let refused = (1_000_000..1_000_500).filter(|good| rate.take_at(good, 5).is_err()).count();
        assert!(refused < 20, "{refused} of 500");
    }
}
