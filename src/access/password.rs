//! Passwords: which are good enough, and the work of hashing, of which only so much is done at once.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::error::{Error, Result};

const MIN_CHARACTERS: usize = 12;
/// Hashing more would only cost more.
const MAX_BYTES: usize = 128;
/// Fewer different characters than this are one typed again and again.
const MIN_DIFFERENT: usize = 4;

/// Hashes at once. Each takes 19 MiB and a core for some 20 ms: a crowd at the door must not stop the shop.
const AT_ONCE: usize = 2;
/// How long one may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// The hash of no password, checked where there is none to check: unknown logins take as long as known ones.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$q1mPZ0Jp0VgLr3m9nVw0yA$Zb8xVvYH1jB0gB5y1Vw3m2o9kQ7c4T6rXn8eLdUaSfE";

/// Why a password is not taken.
pub fn check(password: &str, login: &str) -> Result<()> {
    let weak = |why| Err(Error::Password(why));
    let characters: Vec<char> = password.to_lowercase().chars().collect();
    let mut different = characters.clone();
    different.sort_unstable();
    different.dedup();
    let steps = characters.windows(2).map(|pair| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0])));
    let folded = password.to_ascii_lowercase();
    if characters.len() < MIN_CHARACTERS {
        weak("it has fewer than 12 characters")
    } else if password.len() > MAX_BYTES {
        weak("it has more than 128 bytes")
    } else if folded == login || Some(folded.as_str()) == login.split('@').next() {
        weak("it is the login")
    } else if different.len() < MIN_DIFFERENT {
        weak("it is a few characters again and again")
    } else if steps.into_iter().all(|step| step == 1) {
        weak("it is the alphabet, or counts up")
    } else {
        Ok(())
    }
}

#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// The right to hash once.
pub struct Turn(OwnedSemaphorePermit);

impl Passwords {
    pub async fn turn(&self) -> Result<Turn> {
        match tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await {
            Ok(turn) => Ok(Turn(turn.expect("the turns are never closed"))),
            Err(_) => Err(Error::Busy),
        }
    }
}

/// The turn goes with the work, which goes on where the request is given up.
impl Turn {
    pub async fn hash(self, password: String) -> String {
        let work = spawn_blocking(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            drop(self.0);
            hash.expect("passwords are short, and the system has random numbers").to_string()
        });
        work.await.expect("hashing does not panic")
    }

    /// Takes as long where there is no hash to compare with.
    pub async fn verify(self, password: String, hash: Option<String>) -> bool {
        let work = spawn_blocking(move || {
            let there = hash.is_some();
            let right = is_of(&password, hash.as_deref().unwrap_or(NOBODY));
            drop(self.0);
            there && right
        });
        work.await.expect("hashing does not panic")
    }
}

fn is_of(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trivial_passwords_are_refused() {
        for bad in [
            "short",
            "aaaaaaaaaaaaaaaa",
            "abababababab",
            "Anna@Example.com",
            "abcdefghijklm",
            "0123456789:;",
            &"xyz ".repeat(40),
        ] {
            assert!(check(bad, "anna@example.com").is_err(), "{bad}");
        }
        assert!(check("anna.of.stockholm", "anna.of.stockholm@example.com").is_err());
        for good in ["correct horse battery staple", "12 äpplen och päron", "Tr0ub4dor&3-again"] {
            assert!(check(good, "anna@example.com").is_ok(), "{good}");
        }
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_and_opens_for_its_password_alone() {
        let passwords = Passwords::default();
        let hash = passwords.turn().await.unwrap().hash("correct horse".to_owned()).await;
        let parameters = &hash[..hash.rfind("p=1$").unwrap()];
        assert_eq!(parameters, "$argon2id$v=19$m=19456,t=2,");
        assert!(NOBODY.starts_with(parameters) && PasswordHash::new(NOBODY).is_ok(), "as much work for nobody");
        let verify = async |password: &str, hash: Option<&str>| {
            passwords.turn().await.unwrap().verify(password.to_owned(), hash.map(str::to_owned)).await
        };
        assert!(verify("correct horse", Some(&hash)).await);
        assert!(!verify("correct horsf", Some(&hash)).await);
        assert!(!verify("correct horse", None).await);
        assert!(!verify("correct horse", Some("nonsense")).await);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_for_a_turn_is_sent_away() {
        let passwords = Passwords::default();
        let turns = [passwords.turn().await.unwrap(), passwords.turn().await.unwrap()];
        assert!(matches!(passwords.turn().await, Err(Error::Busy)));
        drop(turns);
        assert!(passwords.turn().await.is_ok());
    }
}
