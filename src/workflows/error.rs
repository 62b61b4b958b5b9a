//! What can be wrong with a call about processes.

use crate::orders;
use crate::payments;
use crate::platform::problem::{self, Fault, Problem};

/// Why a call about processes failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404 `not-found`
    #[error("there is no workflow '{0}'")]
    NoDefinition(String),
    /// 404 `not-found`
    #[error("order {0} goes through no workflow")]
    NoRun(i64),
    /// 409 `invalid-state`
    #[error("{0}")]
    State(String),
    /// 422 `validation`
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Orders(#[from] orders::Error),
    #[error(transparent)]
    Payments(#[from] payments::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoDefinition(_) | Error::NoRun(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::State(_) => Problem::new(&problem::INVALID_STATE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Orders(cause) => cause.into(),
            Error::Payments(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
