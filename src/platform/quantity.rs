//! Quantities: whole numbers of a product's base unit.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

/// The most that one call may name. Levels hold up to a thousand times as much (a database constraint),
/// so sums of what fits in a request cannot overflow an `i64`.
pub const MAX_QUANTITY: i64 = 1_000_000_000_000;

/// The most one level may hold.
pub const MAX_ON_HAND: i64 = 1_000_000_000_000_000;

/// A quantity that a caller names: 1 to [`MAX_QUANTITY`]. The range is checked by the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(pub i64);

impl utoipa::PartialSchema for Quantity {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1))
            .maximum(Some(MAX_QUANTITY))
            .description(Some("Whole number of the product's base unit"))
            .examples([2])
            .into()
    }
}
impl utoipa::ToSchema for Quantity {}
