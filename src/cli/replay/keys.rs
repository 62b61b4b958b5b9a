//! Idempotency keys that follow from the file, so that a second run repeats the first.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Makes keys of the form `replay-<file>-<invoice>-<step>`.
#[derive(Debug)]
pub struct Keys {
    salt: String,
}

impl Keys {
    /// `settings` are the choices that change the requests: warehouses and channel.
    pub fn new(fingerprint: &str, settings: &[&str]) -> Self {
        Self { salt: short_hash(&(fingerprint, settings)) }
    }

    /// The key of one step for one invoice.
    pub fn step(&self, invoice: &str, step: &str) -> String {
        let plain = invoice.len() <= 40 && invoice.bytes().all(|b| b.is_ascii_graphic());
        let invoice = if plain { invoice.to_owned() } else { short_hash(&invoice) };
        format!("replay-{}-{invoice}-{step}", self.salt)
    }

    /// The key of a call that is told by its body alone, such as a batch: another limit on the same
    /// file makes another batch.
    pub fn content(&self, step: &str, body: &impl Serialize) -> String {
        format!("replay-{}-{step}-{}", self.salt, short_hash(body))
    }
}

fn short_hash(value: &impl Serialize) -> String {
    // Only a map with keys that are no strings cannot be written, and none is hashed here; were
    // there one, its key would be that of an empty body.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_from_the_file_and_the_settings() {
        let keys = Keys::new("abc", &["A", "B"]);
        assert_eq!(keys.step("536365", "order-1"), Keys::new("abc", &["A", "B"]).step("536365", "order-1"));
        assert!(keys.step("536365", "order-1").ends_with("-536365-order-1"));
        assert_ne!(keys.step("1", "order-1"), Keys::new("abd", &["A", "B"]).step("1", "order-1"));
        assert_ne!(keys.step("1", "order-1"), Keys::new("abc", &["AB"]).step("1", "order-1"));
    }

    #[test]
    fn keys_stay_short_and_visible_whatever_the_invoice_is() {
        let key = Keys::new("abc", &[]).step(&"é ".repeat(300), "order-1");
        assert!(key.len() <= 255 && key.bytes().all(|b| b.is_ascii_graphic()), "{key}");
    }
}
