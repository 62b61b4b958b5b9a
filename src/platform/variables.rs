//! Settings as variables of the environment give them.

use serde::{Deserialize, Deserializer};

/// A value as a variable has it. Variables arrive typed by their looks: `1` as a number, `true` as a flag.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Loose {
    Flag(bool),
    Number(i64),
    Real(f64),
    Text(String),
}

/// A flag, or a word or number for one.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
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
