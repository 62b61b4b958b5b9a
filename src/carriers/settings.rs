//! The settings `carriers.*`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::directory::{Carrier, code};

/// What customers are shown of shipments, and who sells labels.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the shop is called on tracking pages, labels and packing slips.
    pub shop_name: String,
    /// Carriers beside those that are known: `Name=https://…/{number}`, separated by semicolons.
    pub templates: String,
    /// By which EasyPost knows the shop; none where no labels are bought.
    pub easypost_api_key: String,
    /// By which EasyPost signs its messages.
    pub easypost_webhook_secret: String,
    pub easypost_api_base: String,
    /// For one call to EasyPost to be answered.
    pub easypost_timeout_seconds: u64,
    /// From the first attempt to the second; the waits after it are three times as long each, up to an hour.
    pub easypost_retry_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shop_name: String::new(),
            templates: String::new(),
            easypost_api_key: String::new(),
            easypost_webhook_secret: String::new(),
            easypost_api_base: "https://api.easypost.com".to_owned(),
            easypost_timeout_seconds: 20,
            easypost_retry_seconds: 2,
        }
    }
}

/// Without the secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Settings");
        told.field("shop_name", &self.shop_name).field("templates", &self.templates);
        told.field("easypost_api_base", &self.easypost_api_base).finish_non_exhaustive()
    }
}

impl Settings {
    /// Whether labels are bought.
    pub fn buys(&self) -> bool {
        !self.easypost_api_key.is_empty()
    }

    /// What is wrong with these, in words.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        if self.shop_name.chars().count() > 100 {
            return wrong("carriers.shop_name must have 100 characters or less");
        }
        if !(1..=60).contains(&self.easypost_timeout_seconds) || !(1..=3600).contains(&self.easypost_retry_seconds) {
            return wrong(
                "carriers.easypost_timeout_seconds must be 1 to 60, and carriers.easypost_retry_seconds 1 to 3600",
            );
        }
        if !self.easypost_api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("carriers.easypost_api_key is made of visible characters alone");
        }
        match Url::parse(&self.easypost_api_base) {
            Ok(url) if is_safe(&url) && url.path() == "/" && url.query().is_none() => {}
            _ => {
                return wrong(
                    "carriers.easypost_api_base must be an address that begins with https:// (http:// on this machine alone)",
                );
            }
        }
        self.own().map(|_| ())
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.easypost_timeout_seconds)
    }

    pub(super) fn own(&self) -> Result<Vec<Carrier>, String> {
        self.templates.split(';').map(str::trim).filter(|item| !item.is_empty()).map(carrier).collect()
    }
}

/// Nobody on the way can read what is sent there.
pub(super) fn is_safe(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

fn carrier(item: &str) -> Result<Carrier, String> {
    let wrong = || format!("carriers.templates: '{item}' is not as in Bike=https://bike.example.com/{{number}}");
    let (name, template) = item.split_once('=').ok_or_else(wrong)?;
    let (name, template) = (name.trim(), template.trim());
    let url: Url = template.parse().map_err(|_| wrong())?;
    let is_right = ["https", "http"].contains(&url.scheme()) && template.contains("{number}");
    if !is_right || code(name).is_empty() {
        return Err(wrong());
    }
    Ok(Carrier { code: code(name), name: name.to_owned(), link_template: template.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_and_secrets_are_not() {
        let with = |base: &str| Settings { easypost_api_base: base.to_owned(), ..Settings::default() };
        assert!(Settings::default().check().is_ok() && with("http://127.0.0.1:8420").check().is_ok());
        for bad in ["http://api.easypost.com", "ftp://127.0.0.1", "https://api.easypost.com/v2", "easypost"] {
            assert!(with(bad).check().is_err(), "{bad}");
        }
        let (key, secret) = ("EZAKhush".to_owned(), "hush".to_owned());
        let secret = Settings { easypost_api_key: key, easypost_webhook_secret: secret, ..Settings::default() };
        assert!(secret.buys() && !format!("{secret:?}").contains("hush"));
    }

    #[test]
    fn templates_are_addresses_with_a_number() {
        let own = |templates: &str| Settings { templates: templates.to_owned(), ..Settings::default() }.own();
        let two = own("Bike Post=https://bike.example.com/{number}; Van=http://van.example.com/?n={number}").unwrap();
        assert_eq!((two[0].code.as_str(), two[0].name.as_str(), two.len()), ("bike-post", "Bike Post", 2));
        assert_eq!(own(""), Ok(Vec::new()));
        for wrong in ["Bike", "Bike=bike/{number}", "Bike=https://x/", "=https://x/{number}", "A=javascript:{number}"] {
            assert!(own(wrong).is_err(), "{wrong}");
        }
    }
}
