//! What is kept as `jsonb`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub fn from_json<T: DeserializeOwned>(value: Value) -> sqlx::Result<T> {
    serde_json::from_value(value).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub fn to_json<T: Serialize>(value: &T) -> sqlx::Result<Value> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
