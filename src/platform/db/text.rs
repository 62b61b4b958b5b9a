//! Enums that are kept as text: each value by the name that the API has for it.

use serde::{Deserialize, Serialize};

pub fn to_text<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        other => unreachable!("unit variants serialise to text, not to {other:?}"),
    }
}

pub fn from_text<T: for<'de> Deserialize<'de>>(text: &str) -> sqlx::Result<T> {
    serde_json::from_value(text.into()).map_err(|error| sqlx::Error::Decode(error.into()))
}
