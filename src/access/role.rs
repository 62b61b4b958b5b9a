//! Roles: what users may do, under a name.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{Error, Result};
use super::scope::Scope;

/// The role that may do everything, and always may.
pub const ADMIN: &str = "admin";

/// What users of a role may do
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scopes": ["stock:write", "warehouse_ops:write", "catalog:read"]}))]
pub struct RoleRights {
    #[schema(min_items = 1, max_items = 18)]
    pub scopes: Vec<Scope>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "picker", "builtin": false, "scopes": ["stock:read", "warehouse_ops:write"]}))]
pub struct Role {
    pub name: String,
    /// Comes with the product, and cannot be deleted
    pub builtin: bool,
    #[serde(flatten)]
    pub rights: RoleRights,
}

/// All roles there are
#[derive(Debug, Serialize, ToSchema)]
pub struct Roles {
    pub items: Vec<Role>,
}

pub fn check_name(name: &str) -> Result<()> {
    let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
    let good = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 32 && name.bytes().all(letters);
    if good { Ok(()) } else { Err(Error::RoleName) }
}
