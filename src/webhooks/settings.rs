//! The settings `webhooks.*`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::client::Networks;

/// How webhooks are sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Networks that endpoints may be in although they are not public, also without TLS.
    pub allow_networks: Networks,
    /// For an endpoint to answer.
    pub timeout_seconds: u64,
    /// From the first attempt to the second; the waits after it are twice as long each.
    pub retry_seconds: u64,
    /// Messages under way to one endpoint at once, of one server.
    pub at_once: usize,
    /// Days for which the log of deliveries is kept.
    pub log_days: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { allow_networks: Networks::default(), timeout_seconds: 15, retry_seconds: 5, at_once: 16, log_days: 30 }
    }
}

impl Settings {
    /// What is wrong with these, in words.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        match self {
            Self { timeout_seconds: 1..=60, retry_seconds: 1..=3600, at_once: 1..=256, log_days: 1..=3650, .. } => {
                Ok(())
            }
            Self { timeout_seconds: 1..=60, retry_seconds: 1..=3600, at_once: 1..=256, .. } => {
                wrong("webhooks.log_days must be 1 to 3650")
            }
            Self { timeout_seconds: 1..=60, retry_seconds: 1..=3600, .. } => wrong("webhooks.at_once must be 1 to 256"),
            _ => wrong("webhooks.timeout_seconds must be 1 to 60, and webhooks.retry_seconds 1 to 3600"),
        }
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// A message under way counts as lost with its server after this.
    pub fn lease(&self) -> Duration {
        self.timeout() + Duration::from_secs(5)
    }
}
