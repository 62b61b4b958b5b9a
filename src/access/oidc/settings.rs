//! The settings `oidc.*`: the provider, and what becomes of people whom it knows and we do not.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::access::role::{ADMIN, check_name};

/// An OpenID provider by which people may log in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// As the provider itself writes it: its tokens are compared with it to the letter.
    pub issuer: String,
    pub client_id: String,
    /// None for a public client.
    #[serde(default)]
    pub client_secret: Option<ClientSecret>,
    /// Beside `openid`, separated by spaces.
    #[serde(default = "default_scopes")]
    pub scopes: String,
    /// What people call the provider.
    #[serde(default = "default_name")]
    pub name: String,
    /// What has to be somebody's login here when the provider's user comes for the first time.
    #[serde(default)]
    pub login_claim: LoginClaim,
    /// The role of users whom nobody made before they came; without it, they are refused.
    #[serde(default)]
    pub new_users: Option<String>,
}

fn default_scopes() -> String {
    "email profile".to_owned()
}

fn default_name() -> String {
    "OpenID".to_owned()
}

/// Which claim of the provider names a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginClaim {
    /// The e-mail address, if the provider says that it is verified.
    #[default]
    Email,
    /// Only for a provider where nobody chooses it for themselves: it says who one is here.
    PreferredUsername,
}

/// It is never shown, be it by accident.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientSecret(pub(super) String);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Oidc {
    /// What is wrong with the settings.
    pub fn check(&self, public_url: Option<&Url>) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        let issuer = Url::parse(&self.issuer).ok();
        if !issuer.as_ref().is_some_and(is_safe) {
            return wrong("oidc.issuer must be an address that begins with https:// (http:// on this machine alone)");
        }
        if issuer.is_some_and(|issuer| issuer.query().is_some() || issuer.fragment().is_some()) {
            return wrong("oidc.issuer has neither ? nor #");
        }
        match public_url {
            None => return wrong("oidc needs public_url: the address to which the provider sends people back"),
            Some(url) if !is_safe(url) => {
                return wrong("oidc needs a public_url that begins with https:// (http:// on this machine alone)");
            }
            Some(_) => {}
        }
        if self.client_id.is_empty() || self.name.is_empty() || self.name.len() > 100 {
            return wrong("oidc.client_id must be given, and oidc.name has 1 to 100 characters");
        }
        match self.new_users.as_deref() {
            Some(ADMIN) => wrong("oidc.new_users must not be admin: whoever the provider knows could do everything"),
            Some(role) => check_name(role).map_err(|error| format!("oidc.new_users: {error}")),
            None => Ok(()),
        }
    }
}

/// Nobody on the way can read what is sent there.
pub fn is_safe(url: &Url) -> bool {
    let is_here = || match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_here(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(issuer: &str) -> Oidc {
        let given = serde_json::json!({"issuer": issuer, "client_id": "stockhold", "client_secret": "hush"});
        serde_json::from_value(given).unwrap()
    }

    #[test]
    fn what_would_not_be_safe_is_refused() {
        let public = Url::parse("https://stock.example.com").unwrap();
        let good = settings("https://id.example.com/realm");
        assert_eq!(good.check(Some(&public)), Ok(()));
        assert!(good.check(None).unwrap_err().contains("public_url"));
        assert!(good.check(Some(&Url::parse("http://stock.example.com").unwrap())).is_err());
        for issuer in ["http://127.0.0.1:5000", "http://localhost:5000/", "http://[::1]:5000"] {
            assert_eq!(settings(issuer).check(Some(&public)), Ok(()), "{issuer}");
        }
        for issuer in ["", "id.example.com", "http://id.example.com", "ftp://127.0.0.1", "https://id.example.com/?a"] {
            assert!(settings(issuer).check(Some(&public)).is_err(), "{issuer}");
        }
        for role in ["admin", "No Role"] {
            let bad = Oidc { new_users: Some(role.to_owned()), ..good.clone() };
            assert!(bad.check(Some(&public)).is_err(), "{role}");
        }
    }

    #[test]
    fn the_secret_does_not_show() {
        assert!(!format!("{:?}", settings("https://id.example.com")).contains("hush"));
    }
}
