//! How long to wait before a broker that is away is tried again. Pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// After so many failures, a time between half of what is due and all of it, as `chance` (0 to 1) has it: links of many
/// servers do not all come back in one moment.
pub(super) fn pause(failures: u32, chance: f64) -> Duration {
    let due = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    due.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_half_a_minute() {
        assert_eq!(pause(1, 1.0), FIRST);
        assert_eq!(pause(1, 0.0), FIRST / 2);
        assert_eq!(pause(3, 1.0), FIRST * 4);
        assert_eq!(pause(8, 1.0), LONGEST);
        assert_eq!(pause(u32::MAX, 1.0), LONGEST);
        assert!((1..20).all(|n| pause(n, 0.5) <= pause(n + 1, 0.5)));
    }
}
