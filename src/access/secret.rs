//! The keys themselves: `sh_` + public id + `_` + secret + checksum, in letters and digits, so that a double
//! click selects all of it and a scanner for leaked secrets can tell it.

use rand::RngExt;
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "sh_";
const PUBLIC: usize = 10;
/// 32 of 62 characters are 190 bits.
pub const SECRET: usize = 32;
const CHECKSUM: usize = 6;

/// A key as its owner keeps it. It is never stored and never logged.
pub struct Secret {
    pub text: String,
}

impl Secret {
    /// A new one for the key with this public id, or for a new key.
    pub fn generate(public_id: Option<&str>) -> Self {
        let public = public_id.map_or_else(|| letters(PUBLIC), str::to_owned);
        let body = format!("{PREFIX}{public}_{}", letters(SECRET));
        let checksum = checksum(&body);
        Self { text: body + &checksum }
    }

    pub fn public_id(&self) -> &str {
        &self.text[PREFIX.len()..PREFIX.len() + PUBLIC]
    }

    pub fn hash(&self) -> [u8; 32] {
        hash(&self.text)
    }
}

/// The digest under which a key is stored. A plain SHA-256 will do: there is nothing to guess in 190 random bits.
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Whether this was one of our keys before somebody changed or lost a character. Keys of another shape, brought
/// along by an administrator, are none of ours.
pub fn is_mistyped(key: &str) -> bool {
    let ours = key.starts_with(PREFIX) && key.as_bytes().get(PREFIX.len() + PUBLIC) == Some(&b'_');
    if !ours {
        return false;
    }
    let whole = key.len() == PREFIX.len() + PUBLIC + 1 + SECRET + CHECKSUM;
    !(whole && key.is_ascii() && key[key.len() - CHECKSUM..] == checksum(&key[..key.len() - CHECKSUM]))
}

pub fn letters(count: usize) -> String {
    let mut random = rand::rng();
    (0..count).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

/// CRC-32 in base 62: it finds every change of up to four neighbouring characters.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_from_a_mistyped_one() {
        let key = Secret::generate(None).text;
        assert_eq!(key.len(), 52);
        assert!(!is_mistyped(&key));
        for at in 14..key.len() {
            let mut typo = key.clone().into_bytes();
            typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
            assert!(is_mistyped(std::str::from_utf8(&typo).expect("still text")), "changed at {at}");
            assert!(is_mistyped(&key[..at]), "cut at {at}");
        }
    }

    #[test]
    fn keys_of_other_shapes_are_left_alone() {
        for key in ["", "sh_", "a key that somebody brought along, long enough", "sh_short", "sh_ééé_éé"] {
            assert!(!is_mistyped(key), "{key}");
        }
    }

    #[test]
    fn a_rotated_key_keeps_its_public_id() {
        let first = Secret::generate(None);
        let second = Secret::generate(Some(first.public_id()));
        assert_eq!(first.public_id(), second.public_id());
        assert_ne!(first.text, second.text);
    }
}
