//! The settings `nats.*` and `mqtt.*`: where the brokers are, and what they are to have.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::events::Filter;
use crate::platform::variables::flag;

/// The brokers that the feed goes to.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub nats: Option<Nats>,
    pub mqtt: Option<Mqtt>,
}

/// A NATS server with JetStream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// `nats://host:port`, or `tls://` for an encrypted connection; several servers of a cluster separated by commas.
    pub url: String,
    /// The stream that keeps the events; it is made where it is missing.
    #[serde(default = "default_stream")]
    pub stream: String,
    #[serde(default = "default_prefix")]
    pub subject_prefix: String,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    #[serde(default)]
    pub token: Option<Secret>,
    /// Certificates to trust in place of the system's, in PEM form.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    #[serde(default)]
    pub from: From,
    #[serde(default, deserialize_with = "list")]
    pub types: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    pub subjects: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    pub warehouses: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    pub channels: Vec<String>,
}

/// An MQTT broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// `mqtt://host:port`, or `mqtts://` for an encrypted connection.
    pub url: String,
    #[serde(default = "default_prefix")]
    pub client_id: String,
    #[serde(default = "default_prefix")]
    pub topic_prefix: String,
    /// Whether devices may report stock through it.
    #[serde(default, deserialize_with = "flag")]
    pub reports: bool,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    /// Certificates to trust in place of the system's, in PEM form.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    #[serde(default)]
    pub from: From,
    #[serde(default, deserialize_with = "list")]
    pub types: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    pub subjects: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    pub warehouses: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    pub channels: Vec<String>,
}

fn default_stream() -> String {
    "STOCKHOLD".to_owned()
}

fn default_prefix() -> String {
    "stockhold".to_owned()
}

/// Where a broker begins that was never fed before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    #[default]
    Now,
    /// With the oldest event that is kept.
    Beginning,
}

/// It is never shown, be it by accident.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A list, or a text with commas, as a variable has it.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::List(list) => list,
        Either::Text(text) => text.split(',').map(|one| one.trim().to_owned()).collect(),
    })
}

impl Nats {
    /// What is wrong with the settings.
    pub fn check(&self) -> Result<(), String> {
        for url in self.urls() {
            check_url("nats", url, ["nats", "tls"], "nats.user, nats.password or nats.token")?;
        }
        if !is_name(&self.stream, &[]) {
            return Err("nats.stream is made of 1 to 100 letters, digits, - and _".to_owned());
        }
        if !self.subject_prefix.split('.').all(|token| is_name(token, &[])) || self.subject_prefix.len() > 100 {
            return Err(
                "nats.subject_prefix is made of letters, digits, - and _, in tokens separated by dots".to_owned()
            );
        }
        if self.user.is_some() != self.password.is_some() {
            return Err("nats.user and nats.password go together".to_owned());
        }
        if self.user.is_some() && self.token.is_some() {
            return Err("nats has nats.token, or nats.user and nats.password".to_owned());
        }
        check_filter("nats", &self.filter())
    }

    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.url.split(',').map(str::trim)
    }

    pub(super) fn filter(&self) -> Filter {
        let Self { types, subjects, warehouses, channels, .. } = self.clone();
        Filter { types, subjects, warehouses, channels }
    }
}

impl Mqtt {
    /// What is wrong with the settings.
    pub fn check(&self) -> Result<(), String> {
        check_url("mqtt", &self.url, ["mqtt", "mqtts"], "mqtt.username and mqtt.password")?;
        if !is_name(&self.client_id, &['.', ':']) {
            return Err("mqtt.client_id is made of 1 to 100 letters, digits, and - _ . :".to_owned());
        }
        if !self.topic_prefix.split('/').all(|level| is_name(level, &['.'])) || self.topic_prefix.len() > 100 {
            return Err("mqtt.topic_prefix is made of letters, digits, - _ and ., in levels separated by /".to_owned());
        }
        if self.password.is_some() && self.username.is_none() {
            return Err("mqtt.password needs mqtt.username".to_owned());
        }
        check_filter("mqtt", &self.filter())
    }

    /// Where the broker listens.
    pub(super) fn host_and_port(&self) -> Option<(String, u16)> {
        let url = Url::parse(&self.url).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some((host, url.port().unwrap_or(if self.is_encrypted() { 8883 } else { 1883 })))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.url.starts_with("mqtts:")
    }

    pub(super) fn filter(&self) -> Filter {
        let Self { types, subjects, warehouses, channels, .. } = self.clone();
        Filter { types, subjects, warehouses, channels }
    }
}

/// The address is shown and logged, so there is no secret in it.
fn check_url(group: &str, text: &str, [plain, encrypted]: [&str; 2], credentials: &str) -> Result<(), String> {
    let url = Url::parse(text).ok().filter(|url| [plain, encrypted].contains(&url.scheme()) && url.has_host());
    let Some(url) = url else {
        return Err(format!("{group}.url must be an address {plain}://host:port, or {encrypted}://host:port"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{group}.url must not hold credentials: say them as {credentials}"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{group}.url ends with the port"));
    }
    Ok(())
}

fn is_name(text: &str, also: &[char]) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || also.contains(&c);
    (1..=100).contains(&text.len()) && text.chars().all(is_fine)
}

fn check_filter(group: &str, filter: &Filter) -> Result<(), String> {
    let Filter { types, subjects, warehouses, channels } = filter;
    if [types, subjects, warehouses, channels].into_iter().flatten().any(String::is_empty) {
        return Err(format!("{group}.types, subjects, warehouses and channels hold no empty text"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn nats(given: Value) -> Result<(), String> {
        let nats: Nats = serde_json::from_value(given).map_err(|error| error.to_string())?;
        nats.check()
    }

    fn mqtt(given: Value) -> Result<(), String> {
        let mqtt: Mqtt = serde_json::from_value(given).map_err(|error| error.to_string())?;
        mqtt.check()
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for url in ["nats://localhost:4222", "tls://nats.example.com", "nats://a:4222, nats://b:4222"] {
            assert_eq!(nats(json!({"url": url})), Ok(()), "{url}");
        }
        for url in ["", "localhost:4222", "http://localhost", "nats://", "nats://a,b", "nats://a/b", "nats://u:p@a"] {
            assert!(nats(json!({"url": url})).is_err(), "{url}");
        }
        for (key, value) in
            [("stream", "a b"), ("subject_prefix", "a..b"), ("user", "u"), ("qos", "1"), ("types", "a,")]
        {
            assert!(nats(json!({"url": "nats://a", key: value})).is_err(), "{key}");
        }
        assert!(nats(json!({"url": "nats://a", "user": "u", "password": "p", "token": "t"})).is_err());
        for url in ["mqtt://localhost:1883", "mqtts://[::1]"] {
            assert_eq!(mqtt(json!({"url": url, "types": "stock.*, order.placed"})), Ok(()), "{url}");
        }
        assert_eq!(mqtt(json!({"url": "mqtt://a", "reports": "yes"})), Ok(()));
        for (key, value) in
            [("reports", "maybe"), ("url", "tcp://a"), ("client_id", ""), ("topic_prefix", "a/#"), ("password", "p")]
        {
            let mut given = json!({"url": "mqtt://a"});
            given[key] = value.into();
            assert!(mqtt(given).is_err(), "{key}");
        }
    }

    #[test]
    fn addresses_have_the_usual_ports() {
        let at = |url: &str| serde_json::from_value::<Mqtt>(json!({"url": url})).unwrap().host_and_port().unwrap();
        assert_eq!(at("mqtt://shop.example"), ("shop.example".to_owned(), 1883));
        assert_eq!(at("mqtts://shop.example"), ("shop.example".to_owned(), 8883));
        assert_eq!(at("mqtt://[::1]:7"), ("::1".to_owned(), 7));
    }

    #[test]
    fn secrets_do_not_show() {
        let given = json!({"url": "nats://a", "user": "u", "password": "hush"});
        assert!(!format!("{:?}", serde_json::from_value::<Nats>(given).unwrap()).contains("hush"));
    }
}
