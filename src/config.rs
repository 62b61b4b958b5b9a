//! Settings: flags, then `STOCKHOLD_*` variables, then `config/*.toml`, then defaults.

use std::path::PathBuf;

use clap::Args;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::access::{Oidc, Settings};
use crate::brokers::{self, Mqtt, Nats};
use crate::platform::client::{ForwardedHeader, Networks};
use crate::platform::limits::Limits;
use crate::platform::variables::{Loose, flag};
use crate::{carriers, notices, payments, webhooks};

/// What `stockhold serve` takes. Each flag has a variable `STOCKHOLD_…` and a key in `config/*.toml` of the same name.
#[derive(Args, Clone, Debug, Default, Serialize)]
pub struct Flags {
    /// Address to listen on; port 0 picks one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Where the private Postgres keeps its data [default: /var/lib/stockhold for root, else ~/.local/share/stockhold]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Use this Postgres (postgres://…) instead of a private one
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// Connections to the database [default: 16]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_connections: Option<u32>,
    /// Where the binaries `postgres` and `initdb` are
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres_bin_dir: Option<PathBuf>,
    /// Consent to install Postgres when this machine has none; does nothing where it has
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub install_postgres: bool,
    /// Serve from a database that forgets what it acknowledged when its machine fails (fsync, full_page_writes or
    /// synchronous_commit off), with a warning
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_unsafe_database: bool,
    /// What to log, as in RUST_LOG [default: info]
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How to log [default: text]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub listen: String,
    pub data_dir: PathBuf,
    pub database_url: Option<String>,
    pub database_connections: u32,
    pub postgres_bin_dir: Option<PathBuf>,
    #[serde(deserialize_with = "flag")]
    pub install_postgres: bool,
    #[serde(deserialize_with = "flag")]
    pub allow_unsafe_database: bool,
    /// A bootstrap admin key; never a flag, for flags show in the list of processes.
    #[serde(deserialize_with = "text")]
    pub admin_key: Option<String>,
    /// Largest request body, in bytes.
    pub body_limit: usize,
    /// A certificate chain in PEM form, and its key: with them the server speaks TLS.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Proxies whose word is taken for where a request comes from, and the header in which they say it.
    pub trusted_proxies: Networks,
    pub forwarded_header: ForwardedHeader,
    pub limits: Limits,
    /// Milliseconds between two looks for expired reservations; 0 leaves that to other servers.
    pub sweep_interval_ms: u64,
    /// Milliseconds for which a server that is stopping still serves, so that proxies see it is not ready.
    pub drain_delay_ms: u64,
    /// Hours for which an Idempotency-Key is remembered.
    pub idempotency_hours: i32,
    /// Hours without use, and days in all, after which a session ends.
    pub session_idle_hours: i32,
    pub session_days: i32,
    /// Where browsers find the server.
    pub public_url: Option<Url>,
    /// An OpenID provider by which people may log in.
    pub oidc: Option<Oidc>,
    /// How others are told of events.
    pub webhooks: webhooks::Settings,
    /// Brokers to which the feed of events goes.
    pub nats: Option<Nats>,
    pub mqtt: Option<Mqtt>,
    /// Who is told of what by mail.
    pub notices: notices::Settings,
    /// The server that takes mails.
    pub smtp: notices::Smtp,
    /// What customers are shown of shipments.
    pub carriers: carriers::Settings,
    /// How Stripe is called, where shoppers pay by it.
    pub stripe: payments::Settings,
    /// Days for which the feed of events goes back; 0 is for ever.
    pub events_days: i32,
    /// Days for which carts that have ended are kept.
    pub cart_days: i32,
    /// Days after which customers are erased who neither ordered nor changed; 0 is never.
    pub customer_days: i32,
    /// Days for which the audit trail is kept; 0 is for ever.
    pub audit_days: i32,
    pub log: String,
    pub log_format: LogFormat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            data_dir: default_data_dir(),
            database_url: None,
            database_connections: 16,
            postgres_bin_dir: None,
            install_postgres: false,
            allow_unsafe_database: false,
            admin_key: None,
            body_limit: 4 * 1024 * 1024,
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Networks::default(),
            forwarded_header: ForwardedHeader::default(),
            limits: Limits::default(),
            sweep_interval_ms: 250,
            drain_delay_ms: 0,
            idempotency_hours: 48,
            session_idle_hours: 12,
            session_days: 7,
            public_url: None,
            oidc: None,
            webhooks: webhooks::Settings::default(),
            nats: None,
            mqtt: None,
            notices: notices::Settings::default(),
            smtp: notices::Smtp::default(),
            carriers: carriers::Settings::default(),
            stripe: payments::Settings::default(),
            events_days: 30,
            cart_days: 30,
            customer_days: 0,
            audit_days: 0,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

/// Variables that begin like ours and are no settings of the server: of the command-line clients, and of
/// the search for Postgres.
const NOT_SETTINGS: &[&str] = &["url", "key", "postgres_search_path", "postgres_builds_dir"];

/// Settings that stand together in `config/*.toml`.
const GROUPS: &[&str] = &["limits", "webhooks", "notices", "smtp", "carriers", "stripe"];

/// Groups of settings that are left out as a whole where they are not wanted.
const OPTIONAL_GROUPS: &[&str] = &["oidc", "nats", "mqtt"];

/// What a variable names below a group: `idle_seconds` of `LIMITS_IDLE_SECONDS`.
fn below<'a>(name: &'a str, group: &str) -> Option<&'a str> {
    let (begin, rest) = name.split_at_checked(group.len())?;
    let key = rest.strip_prefix('_').filter(|key| !key.is_empty())?;
    begin.eq_ignore_ascii_case(group).then_some(key)
}

impl Config {
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        let mut files: Vec<_> = std::fs::read_dir("config").into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        files.sort();
        for file in files {
            figment = figment.merge(Toml::file(file));
        }
        let variables = Env::prefixed("STOCKHOLD_")
            .ignore(NOT_SETTINGS)
            .filter(|name| of_optional_group(name.as_str()).is_none())
            .map(|name| match GROUPS.iter().find_map(|group| Some((group, below(name.as_str(), group)?))) {
                Some((group, key)) => format!("{group}.{key}").into(),
                None => name.into(),
            });
        let mut figment = figment.merge(variables);
        for (key, value) in variables_of_optional_groups() {
            figment = figment.merge(Serialized::default(&key, value));
        }
        let figment = figment.merge(Serialized::defaults(flags));
        let mut config: Config = figment.extract().map_err(Box::new)?;
        if config.database_url.is_none() {
            config.database_url = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
        }
        config.check()?;
        Ok(config)
    }

    pub fn access(&self) -> Settings {
        Settings {
            session_idle_hours: self.session_idle_hours,
            session_days: self.session_days,
            public_url: self.public_url.clone(),
            oidc: self.oidc.clone(),
        }
    }

    pub fn brokers(&self) -> brokers::Settings {
        brokers::Settings { nats: self.nats.clone(), mqtt: self.mqtt.clone() }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |what: &str| Err(ConfigError::Invalid(what.to_owned()));
        if self.admin_key.as_ref().is_some_and(|key| key.len() < crate::access::MIN_ADMIN_KEY) {
            return wrong("STOCKHOLD_ADMIN_KEY needs at least 32 characters; `openssl rand -hex 32` makes a good one");
        }
        if !(3..=1000).contains(&self.database_connections) {
            return wrong("database_connections must be 3 to 1000");
        }
        if self.idempotency_hours < 24 {
            return wrong("idempotency_hours must be 24 or more: the API promises a day");
        }
        if !(1..=8760).contains(&self.session_idle_hours) || !(1..=365).contains(&self.session_days) {
            return wrong("session_idle_hours must be 1 to 8760, and session_days 1 to 365");
        }
        if self.customer_days < 0 {
            return wrong("customer_days must be 0 or more");
        }
        if self.cart_days < 1 {
            return wrong("cart_days must be 1 or more");
        }
        if self.audit_days < 0 {
            return wrong("audit_days must be 0, which keeps the audit trail for ever, or a number of days");
        }
        if self.events_days < 0 {
            return wrong("events_days must be 0, which keeps all events for ever, or a number of days");
        }
        self.webhooks.check().map_err(ConfigError::Invalid)?;
        self.notices.check().map_err(ConfigError::Invalid)?;
        self.smtp.check().map_err(ConfigError::Invalid)?;
        self.carriers.check().map_err(ConfigError::Invalid)?;
        self.stripe.check().map_err(ConfigError::Invalid)?;
        if self.sweep_interval_ms != 0 && !(10..=1000).contains(&self.sweep_interval_ms) {
            return wrong(
                "sweep_interval_ms must be 10 to 1000, for the API promises reservation.expired within a second; \
                 or 0 where other servers see to it",
            );
        }
        if self.drain_delay_ms > 60_000 {
            return wrong("drain_delay_ms must be 60000 or less");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return wrong("tls_cert and tls_key go together: the certificate chain and its key, both in PEM form");
        }
        if let Some(oidc) = &self.oidc {
            oidc.check(self.public_url.as_ref()).map_err(ConfigError::Invalid)?;
        }
        if let Some(nats) = &self.nats {
            nats.check().map_err(ConfigError::Invalid)?;
        }
        if let Some(mqtt) = &self.mqtt {
            mqtt.check().map_err(ConfigError::Invalid)?;
        }
        self.limits.check(self.body_limit).map_err(ConfigError::Invalid)
    }
}

fn of_optional_group(name: &str) -> Option<(&str, &str)> {
    OPTIONAL_GROUPS.iter().find_map(|group| Some((*group, below(name, group)?)))
}

/// Those are all text, whatever they look like: an id or a secret may be digits alone. An empty one is none.
fn variables_of_optional_groups() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?.to_ascii_lowercase();
        let (group, key) = of_optional_group(name.strip_prefix("stockhold_")?)?;
        let value = value.into_string().ok().filter(|value| !value.is_empty())?;
        Some((format!("{group}.{key}"), value))
    })
}

/// A key of digits alone is text all the same: it is taken from the variable itself, which keeps leading zeros.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Loose>::deserialize(deserializer)? {
        None => None,
        Some(Loose::Text(text)) => Some(text),
        Some(_) => std::env::var("STOCKHOLD_ADMIN_KEY").ok(),
    })
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the settings cannot be read")]
    Unreadable(#[from] Box<figment::Error>),
    #[error("{0}")]
    Invalid(String),
}

fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/stockhold");
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    base.map_or_else(|| PathBuf::from("stockhold-data"), |base| base.join("stockhold"))
}
