//! Sources: who reports.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::feeds::Error;
use crate::platform::clock::Timestamp;
use crate::warehouses::Code;

/// Every code that a source can have, for the OpenAPI document.
pub const CODE_PATTERN: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$";

/// A system that reports what it counts or changes
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFeedSource, example = json!({"name": "Scales on the shop floor", "warehouse": "LONDON"}))]
pub struct NewSource {
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Where reports are about that name no warehouse
    pub warehouse: Option<Code>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FeedSource, example = json!({
    "code": "scales", "name": "Scales on the shop floor", "warehouse": "LONDON",
    "created_at": "2026-11-23T09:30:00.000Z", "updated_at": "2026-11-23T09:30:00.000Z"
}))]
pub struct Source {
    pub code: String,
    #[serde(flatten)]
    pub fields: NewSource,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// As [`CODE_PATTERN`] says it.
pub fn check_code(code: &str) -> Result<(), Error> {
    let letters = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    let good = (1..=32).contains(&code.len()) && !code.starts_with('.') && code.bytes().all(letters);
    if good { Ok(()) } else { Err(Error::SourceCode) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What the document says of a code is what the server takes.
        #[test]
        fn the_documented_pattern_is_the_check_s(code in "[a-zA-Z0-9._ é-]{0,34}") {
            let documented = jsonschema::validator_for(&serde_json::json!({"pattern": CODE_PATTERN})).expect("a pattern");
            prop_assert_eq!(check_code(&code).is_ok(), documented.is_valid(&code.clone().into()), "{:?}", code);
        }
    }
}
