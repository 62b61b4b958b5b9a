//! Every SQL statement of the module. Schema `inventory`.

pub(super) mod book;
pub(super) mod check;
pub(super) mod claims;
pub(super) mod explain;
pub(super) mod ledger;
pub(super) mod levels;
pub(super) mod products;
