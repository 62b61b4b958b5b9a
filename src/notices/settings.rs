//! The settings `notices.*` and `smtp.*`.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{Address, AsyncSmtpTransport, Tokio1Executor};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::templates::Templates;

/// Who is told of what.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Addresses of the operator, separated by commas.
    pub alert_to: String,
    /// Seconds between two mails to the operator, at least.
    pub gather_seconds: u64,
    /// Whether customers are told how their orders go.
    pub order_mails: bool,
    /// Where files are that stand in for the built-in templates.
    pub templates_dir: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alert_to: String::new(), gather_seconds: 300, order_mails: false, templates_dir: String::new() }
    }
}

impl Settings {
    /// What is wrong with these, in words.
    pub fn check(&self) -> Result<(), String> {
        for address in self.alert_to() {
            address
                .parse::<Address>()
                .map_err(|error| format!("notices.alert_to: '{address}' is no address: {error}"))?;
        }
        if !(1..=86400).contains(&self.gather_seconds) {
            return Err("notices.gather_seconds must be 1 to 86400".to_owned());
        }
        Templates::load(self.templates_dir()).map(|_| ())
    }

    pub fn alert_to(&self) -> impl Iterator<Item = &str> {
        self.alert_to.split(',').map(str::trim).filter(|address| !address.is_empty())
    }

    pub(super) fn templates_dir(&self) -> Option<&Path> {
        (!self.templates_dir.is_empty()).then(|| Path::new(&self.templates_dir))
    }
}

/// The server that takes mails.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smtp {
    /// `smtp://user:password@host:587` or `smtps://…`; none where no mails are sent.
    pub url: String,
    /// Whom mails are from.
    pub from: String,
    /// For one mail to be taken.
    pub timeout_seconds: u64,
    /// From the first attempt to the second; the waits after it are three times as long each, up to an hour.
    pub retry_seconds: u64,
}

impl Default for Smtp {
    fn default() -> Self {
        Self { url: String::new(), from: String::new(), timeout_seconds: 30, retry_seconds: 5 }
    }
}

/// Without the password that the address may have.
impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("from", &self.from).finish_non_exhaustive()
    }
}

pub(super) type Transport = AsyncSmtpTransport<Tokio1Executor>;

impl Smtp {
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// What is wrong with these, in words.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=120).contains(&self.timeout_seconds) || !(1..=3600).contains(&self.retry_seconds) {
            return Err("smtp.timeout_seconds must be 1 to 120, and smtp.retry_seconds 1 to 3600".to_owned());
        }
        if !self.is_on() {
            return Ok(());
        }
        self.from()?;
        self.transport().map(|_| ())
    }

    pub(super) fn from(&self) -> Result<Mailbox, String> {
        self.from
            .parse()
            .map_err(|error| format!("smtp.from must be an address, as in Shop <shop@example.com>: {error}"))
    }

    pub(super) fn transport(&self) -> Result<Transport, String> {
        let url = address(&self.url)?;
        let builder = Transport::from_url(url.as_str()).map_err(|_| "smtp.url cannot be used as it is".to_owned())?;
        Ok(builder.timeout(Some(Duration::from_secs(self.timeout_seconds))).build())
    }
}

/// With the encryption that is asked for where it says nothing of it: whatever the server offers, and where a password goes
/// to another machine, nothing less than TLS.
fn address(url: &str) -> Result<Url, String> {
    let wrong = "smtp.url must be smtp://user:password@host:587 or smtps://user:password@host";
    let mut url: Url = url.parse().map_err(|_| wrong.to_owned())?;
    let host = url.host_str().unwrap_or_default().to_owned();
    if !["smtp", "smtps"].contains(&url.scheme()) || host.is_empty() {
        return Err(wrong.to_owned());
    }
    let is_here = match Host::parse(&host) {
        Ok(Host::Ipv4(ip)) => ip.is_loopback(),
        Ok(Host::Ipv6(ip)) => ip.is_loopback(),
        _ => host == "localhost",
    };
    let says = url.query_pairs().any(|(name, _)| name == "tls");
    if url.scheme() == "smtp" && !says && !is_here {
        let tls = if url.password().is_some() { "required" } else { "opportunistic" };
        url.query_pairs_mut().append_pair("tls", tls);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_to_another_machine_by_tls_alone() {
        for (given, used) in [
            ("smtp://mail.example.com:587", "smtp://mail.example.com:587?tls=opportunistic"),
            ("smtp://a:b@mail.example.com:587", "smtp://a:b@mail.example.com:587?tls=required"),
            ("smtp://a:b@mail.example.com?tls=opportunistic", "smtp://a:b@mail.example.com?tls=opportunistic"),
            ("smtp://a:b@127.0.0.1:2525", "smtp://a:b@127.0.0.1:2525"),
            ("smtp://localhost:25", "smtp://localhost:25"),
            ("smtps://a:b@mail.example.com", "smtps://a:b@mail.example.com"),
        ] {
            assert_eq!(address(given).map(String::from).as_deref(), Ok(used));
            let smtp = Smtp { url: given.to_owned(), from: "Shop <shop@example.com>".to_owned(), ..Smtp::default() };
            assert_eq!(smtp.check(), Ok(()), "{given}");
        }
        for wrong in ["mail.example.com", "http://mail.example.com", "smtp:25"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        let secret = Smtp { url: "smtp://a:hidden@host".to_owned(), ..Smtp::default() };
        assert!(!format!("{secret:?}").contains("hidden") && secret.check().is_err(), "there is no sender");
    }

    #[test]
    fn addresses_of_the_operator_are_addresses() {
        let to = |alert_to: &str| Settings { alert_to: alert_to.to_owned(), ..Settings::default() }.check();
        assert_eq!(to("a@example.com, b@example.com"), Ok(()));
        assert!(to("a@example.com, nobody").is_err_and(|told| told.contains("'nobody'")));
    }
}
