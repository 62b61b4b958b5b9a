//! What can be wrong with a call about feeds, or with one report of a batch.

use super::model::source::CODE_PATTERN;
use crate::inventory::{self, Shortage};
use crate::platform::problem::{self, Fault, Problem};

/// Why a call, or one report, was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404 `not-found`
    #[error("there is no source {0}")]
    NoSource(String),
    /// 422 `validation`
    #[error("a source's code is like {CODE_PATTERN}")]
    SourceCode,
    /// 403 `forbidden`
    #[error("this caller is limited to other warehouses")]
    Outside,
    /// 409 `sequence-reused`
    #[error("the sequence number {0} came with another report before")]
    SequenceReused(i64),
    /// 409 `insufficient-stock`. It stands among the discrepancies until it is sent again and can be booked
    #[error("the change cannot be booked: less of {} is free to go", .0.sku)]
    Short(Shortage),
    /// 422 `validation`, with every fault
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoSource(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::SourceCode => Problem::fault("/path/source", "pattern", detail),
            Error::Outside => Problem::new(&problem::FORBIDDEN, detail),
            Error::SequenceReused(_) => Problem::new(&problem::SEQUENCE_REUSED, detail),
            Error::Short(shortage) => Problem::new(&problem::INSUFFICIENT_STOCK, detail).with("shortages", &[shortage]),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Inventory(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
