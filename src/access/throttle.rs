//! How fast passwords may be guessed: a few tries are free, then each failure doubles the wait. Nobody is
//! locked out for good, for else anybody could lock out anybody.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Failures in a row that cost nothing: of one login, and from one address, behind which many may sit.
pub const FREE_OF_LOGIN: i32 = 5;
const FREE_OF_ADDRESS: i32 = 20;

const LONGEST: Duration = Duration::from_secs(900);
/// After this long without a failure it all begins anew.
pub const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Addresses remembered; the oldest failures go first.
const ADDRESSES: usize = 10_000;

/// Whether one more try may be made after `failures`, the last of them `ago`: how many that makes if it fails
/// too, or how long to wait.
pub fn next(failures: i32, ago: Duration, free: i32) -> Result<i32, Duration> {
    if ago >= FORGOTTEN {
        return Ok(1);
    }
    let doublings = u32::try_from(failures - free).unwrap_or(0).min(20);
    let pause = if failures < free { Duration::ZERO } else { Duration::from_secs(1 << doublings).min(LONGEST) };
    if ago >= pause { Ok(failures.saturating_add(1)) } else { Err(pause - ago) }
}

/// What stands for a login in the table of failures: whatever was typed there is not kept.
pub fn digest(login: &str) -> [u8; 32] {
    Sha256::new().chain_update("login ").chain_update(login).finalize().into()
}

/// Failures from each address, as this server saw them.
#[derive(Default)]
pub struct Addresses {
    failures: Mutex<HashMap<IpAddr, (i32, Instant)>>,
}

impl Addresses {
    /// Counts a try as failed before it is made, so that many at once are no way around the count.
    pub fn take(&self, address: IpAddr) -> Result<(), Duration> {
        let mut failures = self.failures.lock().expect("never poisoned");
        let (count, last) = failures.get(&address).copied().unwrap_or((0, Instant::now()));
        let count = next(count, last.elapsed(), FREE_OF_ADDRESS)?;
        if failures.len() >= ADDRESSES && !failures.contains_key(&address) {
            let oldest = failures.iter().min_by_key(|(_, (_, last))| *last).map(|(address, _)| *address);
            oldest.and_then(|oldest| failures.remove(&oldest));
        }
        failures.insert(address, (count, Instant::now()));
        Ok(())
    }

    /// It did not fail after all. What failed before stays counted: one good password must not buy many guesses.
    pub fn give_back(&self, address: IpAddr) {
        let mut failures = self.failures.lock().expect("never poisoned");
        if let Some((count, _)) = failures.get_mut(&address) {
            *count -= 1;
            if *count <= 0 {
                failures.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_and_end() {
        let at_once = |failures| next(failures, Duration::ZERO, 5);
        assert!((0..5).all(|failures| at_once(failures) == Ok(failures + 1)));
        assert_eq!(at_once(5), Err(SECOND));
        assert_eq!(at_once(8), Err(8 * SECOND));
        assert_eq!(next(8, 3 * SECOND, 5), Err(5 * SECOND));
        assert_eq!(next(8, 8 * SECOND, 5), Ok(9));
        assert_eq!(at_once(40), Err(LONGEST));
        assert_eq!(at_once(i32::MAX), Err(LONGEST));
        assert_eq!(next(40, LONGEST, 5), Ok(41), "nobody is locked out");
        assert_eq!(next(40, FORGOTTEN, 5), Ok(1));
    }

    #[test]
    fn an_address_is_slowed_down_on_its_own() {
        let (addresses, [one, two]) = (Addresses::default(), [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from));
        for _ in 0..FREE_OF_ADDRESS {
            assert_eq!(addresses.take(one), Ok(()));
        }
        assert!(addresses.take(one).is_err());
        assert_eq!(addresses.take(two), Ok(()));
        addresses.give_back(one);
        assert_eq!(addresses.take(one), Ok(()), "that one had not failed");
        assert!(addresses.take(one).is_err());
    }
}
