//! When a call is repeated, and for how long.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::problem::Problem;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A 500 is rarely cured by waiting: after this many tries it is an answer.
const TRIES_OF_A_SERVER_ERROR: u32 = 5;

/// Whether a failed call is worth repeating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// A few times only.
    Briefly,
    /// As long as patience lasts; not before this pause, if the server named one.
    Later(Option<Duration>),
}

impl Again {
    pub(super) fn after(problem: &Problem, retry_after: Option<Duration>) -> Self {
        match problem.status {
            408 | 429 | 502 | 503 | 504 => Self::Later(retry_after),
            409 if problem.slug() == "idempotency-in-progress" => Self::Later(retry_after),
            500.. => Self::Briefly,
            _ => Self::Never,
        }
    }
}

/// How long one call may still be repeated: exponential pauses with full jitter, bounded in all.
pub(super) struct Patience {
    since: Instant,
    wait: Duration,
    tries: u32,
}

impl Patience {
    pub(super) fn new(wait: Duration) -> Self {
        Self { since: Instant::now(), wait, tries: 0 }
    }

    pub(super) fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    pub(super) fn next(&mut self, again: Again) -> Option<Duration> {
        self.tries += 1;
        let asked = match again {
            Again::Never => return None,
            Again::Briefly if self.tries >= TRIES_OF_A_SERVER_ERROR => return None,
            Again::Briefly => None,
            Again::Later(asked) => asked,
        };
        if self.since.elapsed() >= self.wait {
            return None;
        }
        let ceiling = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        Some(asked.unwrap_or_default() + ceiling.mul_f64(0.5 + 0.5 * jitter()))
    }
}

/// A number in 0..1 that differs from call to call; it need not be good randomness.
fn jitter() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 40;
    bits as f64 / f64::from(1_u32 << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, kind: &str) -> Problem {
        Problem { status, kind: kind.into(), ..Problem::default() }
    }

    #[test]
    fn what_may_pass_is_repeated_and_what_is_decided_is_not() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(Again::after(&problem(429, ""), second), Again::Later(second));
        assert_eq!(Again::after(&problem(503, "/problems/unavailable"), None), Again::Later(None));
        assert_eq!(Again::after(&problem(409, "/problems/idempotency-in-progress"), None), Again::Later(None));
        assert_eq!(Again::after(&problem(409, "/problems/insufficient-stock"), None), Again::Never);
        assert_eq!(Again::after(&problem(500, "/problems/internal"), None), Again::Briefly);
        assert_eq!(Again::after(&problem(422, "/problems/validation"), None), Again::Never);
    }

    #[test]
    fn pauses_grow_to_a_ceiling_and_never_undercut_the_server() {
        let mut patience = Patience::new(Duration::from_secs(60));
        let first = patience.next(Again::Later(None)).unwrap();
        assert!(first <= FIRST_PAUSE * 2);
        let pauses: Vec<_> = (0..40).filter_map(|_| patience.next(Again::Later(None))).collect();
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        let asked = Duration::from_secs(9);
        assert!(patience.next(Again::Later(Some(asked))).unwrap() >= asked);
    }

    #[test]
    fn patience_ends() {
        assert_eq!(Patience::new(Duration::ZERO).next(Again::Later(None)), None);
        let mut patience = Patience::new(Duration::from_secs(60));
        let tries = std::iter::from_fn(|| patience.next(Again::Briefly)).count();
        assert_eq!(tries, TRIES_OF_A_SERVER_ERROR as usize - 1);
    }
}
