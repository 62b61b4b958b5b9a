//! What can be wrong with a return.

use uuid::Uuid;

use crate::orders;
use crate::platform::problem::{self, Fault, Problem};

/// Why a call about returns failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404 `not-found`
    #[error("there is no return request {0}")]
    NotFound(Uuid),
    /// 409 `invalid-state`
    #[error("{0}")]
    State(String),
    /// 409 `invalid-state`, with every fault
    #[error("the order does not allow that")]
    Conflict(Vec<Fault>),
    /// 409 `invalid-state`
    #[error("of an order, {0} returns are kept at most")]
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
            Error::NotFound(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::State(_) | Error::TooMany(_) => Problem::new(&problem::INVALID_STATE, detail),
            Error::Conflict(faults) => orders::Error::Conflict(faults).into(),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Orders(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
