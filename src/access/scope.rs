//! What a key may do: scopes such as `stock:read`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// The parts of the product that are opened one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    Catalog,
    Stock,
    Reservations,
    Orders,
    WarehouseOps,
    Purchasing,
    Reports,
    Events,
    Admin,
}

impl Area {
    pub const ALL: [Self; 9] = [
        Self::Catalog,
        Self::Stock,
        Self::Reservations,
        Self::Orders,
        Self::WarehouseOps,
        Self::Purchasing,
        Self::Reports,
        Self::Events,
        Self::Admin,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Stock => "stock",
            Self::Reservations => "reservations",
            Self::Orders => "orders",
            Self::WarehouseOps => "warehouse_ops",
            Self::Purchasing => "purchasing",
            Self::Reports => "reports",
            Self::Events => "events",
            Self::Admin => "admin",
        }
    }
}

/// The right to read one area, or to change it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scope {
    area: Area,
    write: bool,
}

impl Scope {
    /// Everything.
    pub const ADMIN: Self = Self { area: Area::Admin, write: true };

    pub fn all() -> impl Iterator<Item = Self> {
        Area::ALL.into_iter().flat_map(|area| [false, true].map(|write| Self { area, write }))
    }

    /// Writing includes reading, and `admin:write` includes everything.
    pub fn covers(self, needed: Self) -> bool {
        self == Self::ADMIN || (self.area == needed.area && (self.write || !needed.write))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.area.name(), if self.write { "write" } else { "read" })
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is no scope; there are {all}", all = Scope::all().map(|scope| scope.to_string()).collect::<Vec<_>>().join(", "))]
pub struct NoScope(String);

impl FromStr for Scope {
    type Err = NoScope;

    fn from_str(text: &str) -> Result<Self, NoScope> {
        Self::all().find(|scope| scope.to_string() == text).ok_or_else(|| NoScope(text.to_owned()))
    }
}

impl TryFrom<String> for Scope {
    type Error = NoScope;

    fn try_from(text: String) -> Result<Self, NoScope> {
        text.parse()
    }
}

impl utoipa::PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let description = "An area, to read or to change it as well; `admin:write` opens everything";
        let names = Self::all().map(|scope| scope.to_string());
        let schema = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
        RefOr::T(Schema::Object(schema.enum_values(Some(names)).examples(["stock:read"]).build()))
    }
}

impl utoipa::ToSchema for Scope {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_includes_reading_and_admin_includes_all() {
        let scope = |text: &str| text.parse::<Scope>().expect("a scope");
        assert!(scope("stock:write").covers(scope("stock:read")));
        assert!(!scope("stock:read").covers(scope("stock:write")));
        assert!(!scope("stock:write").covers(scope("orders:read")));
        assert!(!scope("admin:read").covers(scope("stock:read")));
        assert!(Scope::all().all(|any| scope("admin:write").covers(any)));
        assert!("stock".parse::<Scope>().is_err());
    }
}
