//! The settings `stripe.*`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// How Stripe is called, and how its messages are known.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `sk_…` or `rk_…`; none where nobody pays by Stripe.
    pub secret_key: String,
    /// `whsec_…`, with which it signs its messages.
    pub webhook_secret: String,
    pub api_base: String,
    /// For one call to be answered.
    pub timeout_seconds: u64,
    /// From the first attempt to the second; the waits after it are three times as long each, up to an hour.
    pub retry_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let api_base = "https://api.stripe.com".to_owned();
        Self {
            secret_key: String::new(),
            webhook_secret: String::new(),
            api_base,
            timeout_seconds: 10,
            retry_seconds: 2,
        }
    }
}

/// Without the secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("api_base", &self.api_base).finish_non_exhaustive()
    }
}

impl Settings {
    pub fn is_on(&self) -> bool {
        !self.secret_key.is_empty()
    }

    /// What is wrong with these, in words.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        if !(1..=60).contains(&self.timeout_seconds) || !(1..=3600).contains(&self.retry_seconds) {
            return wrong("stripe.timeout_seconds must be 1 to 60, and stripe.retry_seconds 1 to 3600");
        }
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible(&self.secret_key) || !visible(&self.webhook_secret) {
            return wrong("stripe.secret_key and stripe.webhook_secret are made of visible characters alone");
        }
        match Url::parse(&self.api_base) {
            Ok(url) if is_safe(&url) && url.path() == "/" && url.query().is_none() => Ok(()),
            _ => wrong("stripe.api_base must be an address that begins with https:// (http:// on this machine alone)"),
        }
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

/// Nobody on the way can read what is sent there.
fn is_safe(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_and_secrets_are_not() {
        let with = |api_base: &str| Settings { api_base: api_base.to_owned(), ..Settings::default() };
        assert!(Settings::default().check().is_ok() && with("http://127.0.0.1:8420").check().is_ok());
        for bad in ["http://api.stripe.com", "ftp://127.0.0.1", "https://api.stripe.com/v1", "stripe"] {
            assert!(with(bad).check().is_err(), "{bad}");
        }
        let secret = Settings { secret_key: "sk_hush".to_owned(), ..Settings::default() };
        assert!(!format!("{secret:?}").contains("hush"));
    }
}
