//! Users: people who log in.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{Error, Result};
use super::key::codes;
use crate::platform::clock::Timestamp;

/// A person who logs in
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"login": "anna@example.com", "name": "Anna Berg", "role": "clerk", "warehouses": ["LONDON"]}))]
pub struct NewUser {
    /// An e-mail address or a name; upper and lower case are the same
    #[serde(deserialize_with = "lower_case")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._@+-]{0,253}$")]
    pub login: String,
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    pub name: String,
    /// viewer, clerk, manager, admin, or one of your own
    #[schema(min_length = 1, max_length = 32)]
    pub role: String,
    /// Only these warehouses, by their codes; all when left out. They need not exist yet
    #[schema(schema_with = codes)]
    pub warehouses: Option<Vec<String>>,
    /// Only these channels, by their codes; all when left out. They need not exist yet
    #[schema(schema_with = codes)]
    pub channels: Option<Vec<String>>,
    /// Cannot log in, and has no sessions
    #[serde(default)]
    #[schema(default = false)]
    pub disabled: bool,
}

/// A login as it is kept.
pub fn login(text: &str) -> Result<String> {
    let inside = |c: u8| c.is_ascii_alphanumeric() || b"._@+-".contains(&c);
    let good = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 254 && text.bytes().all(inside);
    if good { Ok(text.to_ascii_lowercase()) } else { Err(Error::Login) }
}

fn lower_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|login| login.to_ascii_lowercase())
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "login": "anna@example.com", "name": "Anna Berg", "role": "clerk",
    "warehouses": ["LONDON"], "channels": null, "disabled": false, "has_password": true, "issuer": null,
    "created_at": "2026-11-23T09:30:00.000Z", "created_by": "admin", "last_login_at": null, "disabled_at": null
}))]
pub struct User {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: NewUser,
    /// Without one they log in by the OpenID provider, or not at all
    pub has_password: bool,
    /// The OpenID provider that knows them, from their first log-in by it; null for who never did
    pub issuer: Option<String>,
    pub created_at: Timestamp,
    pub created_by: String,
    pub last_login_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
}

impl User {
    pub(super) fn address(&self) -> String {
        format!("/v1/users/{}", self.id)
    }
}
