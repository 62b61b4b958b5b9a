//! What can be wrong with a call about carriers.

use crate::orders;
use crate::platform::problem::{self, Fault, Problem};

/// Why a call about carriers failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 409 `invalid-state`
    #[error("{0} reports of this shipment are kept already")]
    TooMany(usize),
    /// 422 `validation`
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Orders(#[from] orders::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::TooMany(_) => Problem::new(&problem::INVALID_STATE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Orders(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
