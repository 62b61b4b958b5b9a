//! Every SQL statement of the module. Schema `access`.

pub(super) mod keys;
pub(super) mod oidc;
pub(super) mod roles;
pub(super) mod sessions;
pub(super) mod users;

use super::scope::Scope;

/// Scopes that this version does not know open nothing.
fn scopes(stored: &[String]) -> Vec<Scope> {
    stored.iter().filter_map(|scope| scope.parse().ok()).collect()
}
