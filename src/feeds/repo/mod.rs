//! Every SQL statement of the module. Schema `feeds`; a fixed number of statements for a batch, whatever its size.

pub(super) mod discrepancies;
pub(super) mod reports;
pub(super) mod sources;

use super::model::report::Outcome;

fn outcome(text: &str) -> sqlx::Result<Outcome> {
    Outcome::parse(text).ok_or_else(|| sqlx::Error::Decode(format!("there is no outcome {text}").into()))
}
