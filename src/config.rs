//! Settings: flags, then `STOCKHOLD_*` variables, then `config/*.toml`, then defaults.

use std::path::PathBuf;

use clap::Args;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Deserializer, Serialize};

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
    /// A bootstrap admin key; never a flag, for flags show in the list of processes.
    #[serde(deserialize_with = "text")]
    pub admin_key: Option<String>,
    /// Largest request body, in bytes.
    pub body_limit: usize,
    /// Milliseconds between two looks for expired reservations.
    pub sweep_interval_ms: u64,
    /// Hours for which an Idempotency-Key is remembered.
    pub idempotency_hours: i32,
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
            admin_key: None,
            body_limit: 4 * 1024 * 1024,
            sweep_interval_ms: 250,
            idempotency_hours: 48,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

/// Variables that begin like ours and are no settings of the server: of the command-line clients, and of
/// the search for Postgres.
const NOT_SETTINGS: &[&str] = &["url", "key", "postgres_search_path", "postgres_builds_dir"];

impl Config {
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        let mut files: Vec<_> = std::fs::read_dir("config").into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        files.sort();
        for file in files {
            figment = figment.merge(Toml::file(file));
        }
        let variables = Env::prefixed("STOCKHOLD_").ignore(NOT_SETTINGS);
        let figment = figment.merge(variables).merge(Serialized::defaults(flags));
        let mut config: Config = figment.extract().map_err(Box::new)?;
        if config.database_url.is_none() {
            config.database_url = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |what: &str| Err(ConfigError::Invalid(what.to_owned()));
        if self.admin_key.as_ref().is_some_and(|key| key.len() < crate::access::MIN_ADMIN_KEY) {
            return wrong("STOCKHOLD_ADMIN_KEY needs at least 32 characters; `openssl rand -hex 32` makes a good one");
        }
        if !(2..=1000).contains(&self.database_connections) {
            return wrong("database_connections must be 2 to 1000");
        }
        if self.idempotency_hours < 24 {
            return wrong("idempotency_hours must be 24 or more: the API promises a day");
        }
        if !(10..=1000).contains(&self.sweep_interval_ms) {
            return wrong("sweep_interval_ms must be 10 to 1000: the API promises reservation.expired within a second");
        }
        Ok(())
    }
}

/// Variables arrive typed by their looks: `1` as a number, `true` as a flag.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Flag(bool),
    Number(i64),
    Real(f64),
    Text(String),
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Loose::deserialize(deserializer)? {
        Loose::Flag(flag) => Ok(flag),
        Loose::Number(number) => Ok(number != 0),
        Loose::Real(number) => Err(serde::de::Error::custom(format!("say 1 or 0 instead of {number}"))),
        Loose::Text(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "" | "0" | "false" | "no" | "off" => Ok(false),
            _ => Err(serde::de::Error::custom("say 1 or 0, yes or no")),
        },
    }
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
