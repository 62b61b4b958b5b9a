//! Money in minor units of its currency.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount in minor units (cents, pence) of a currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 1999, "currency": "EUR"}))]
pub struct Money {
    /// Minor units: 1999 is 19.99 in a currency with two decimals
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64)]
    pub amount: i64,
    /// ISO 4217 code
    #[schema(pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

/// The most that an amount may be, as the schema has it.
const MOST: i128 = 1_000_000_000_000;

impl Money {
    /// A sum; nothing where it is more than an amount may be.
    pub fn sum(amount: i128, currency: &str) -> Option<Self> {
        let amount = i64::try_from(amount).ok().filter(|_| amount <= MOST)?;
        Some(Self { amount, currency: currency.to_owned() })
    }

    /// From two nullable columns that are null together.
    pub fn from_columns(amount: Option<i64>, currency: Option<String>) -> Option<Self> {
        Some(Self { amount: amount?, currency: currency? })
    }
}
