//! API keys as they are asked for, and as they are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::scope::Scope;
use crate::platform::clock::Timestamp;
use crate::platform::reply::Reply;

/// How long the old secret opens after a rotation, when the call does not say: a day, in seconds.
pub const DEFAULT_OVERLAP: i64 = 86_400;

fn default_overlap() -> i64 {
    DEFAULT_OVERLAP
}

/// A key to make
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Web shop", "scopes": ["catalog:read", "stock:read", "reservations:write", "orders:write"], "channels": ["web"]}))]
pub struct NewKey {
    /// Who uses it, for what
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    pub name: String,
    #[schema(min_items = 1, max_items = 18)]
    pub scopes: Vec<Scope>,
    /// Only these warehouses, by their codes; all when left out. They need not exist yet
    #[schema(min_items = 1, max_items = 1000, schema_with = codes)]
    pub warehouses: Option<Vec<String>>,
    /// Only these channels, by their codes; all when left out. They need not exist yet
    #[schema(min_items = 1, max_items = 1000, schema_with = codes)]
    pub channels: Option<Vec<String>>,
    /// From then on it is refused; never when left out
    pub expires_at: Option<Timestamp>,
}

/// A list of codes, none when null.
pub(super) fn codes() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
    use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
    let code = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(32));
    ArrayBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Array, Type::Null]))
        .items(code.pattern(Some("^[A-Za-z0-9._-]+$")))
        .min_items(Some(1))
        .max_items(Some(1000))
        .into()
}

/// What a key is, without its secret
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "name": "Web shop", "public_id": "4fK9xT2mQa",
    "scopes": ["catalog:read", "stock:read"], "warehouses": null, "channels": ["web"], "status": "active",
    "created_at": "2026-11-23T09:30:00.000Z", "created_by": "admin", "expires_at": null, "last_used_at": "2026-11-23T10:00:00.000Z",
    "previous_secret_until": null, "revoked_at": null
}))]
pub struct Key {
    pub id: Uuid,
    pub name: String,
    /// The part of the key after `sh_`; null for one that was brought along as STOCKHOLD_ADMIN_KEY
    pub public_id: Option<String>,
    pub scopes: Vec<Scope>,
    /// The only warehouses it may see and touch; null is all
    pub warehouses: Option<Vec<String>>,
    /// The only channels it may see and touch; null is all
    pub channels: Option<Vec<String>>,
    #[schema(inline)]
    pub status: KeyStatus,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
    /// To the minute
    pub last_used_at: Option<Timestamp>,
    /// Until when the secret before the last rotation opens as well
    pub previous_secret_until: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    pub(super) fn address(&self) -> String {
        format!("/v1/keys/{}", self.id)
    }

    /// It could make other keys.
    pub(super) fn is_admin(&self) -> bool {
        let unlimited = self.warehouses.is_none() && self.channels.is_none();
        self.status == KeyStatus::Active && unlimited && self.scopes.contains(&Scope::ADMIN)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    Active,
    Expired,
    Revoked,
}

impl KeyStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A key with its secret
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IssuedKey {
    #[serde(flatten)]
    pub fields: Key,
    /// What to send as `Authorization: Bearer`. Shown this once: only a digest is kept, so a repeated call with the
    /// same Idempotency-Key answers with null
    pub key: Option<String>,
}

impl IssuedKey {
    /// The answer with the secret; what is stored under an Idempotency-Key goes without.
    pub(super) fn reply(self) -> Reply {
        let told = Reply::created(self.fields.address(), &self);
        told.remembered_as(&Self { key: None, ..self })
    }
}

/// How to rotate
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_seconds": 3600}))]
pub struct Rotation {
    /// How long the old secret opens as well, in seconds: up to 30 days
    #[serde(default = "default_overlap")]
    #[schema(minimum = 0, maximum = 2_592_000, default = 86_400)]
    pub overlap_seconds: i64,
}
