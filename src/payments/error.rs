//! What can be wrong with a call about payments.

use uuid::Uuid;

use crate::orders;
use crate::platform::problem::{self, Fault, Problem};

/// Why a call about payments failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404 `not-found`
    #[error("there is no payment {0}")]
    NotFound(Uuid),
    /// 404 `not-found`
    #[error("no messages of the provider '{0}' are taken here")]
    NoProvider(String),
    /// 409 `invalid-state`
    #[error("{0}")]
    State(String),
    /// 422 `validation`
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    /// 400 `malformed-request`
    #[error("the message is not the provider's: {0}")]
    Forged(&'static str),
    #[error(transparent)]
    Orders(#[from] orders::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound(_) | Error::NoProvider(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::State(_) => Problem::new(&problem::INVALID_STATE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Forged(_) => Problem::new(&problem::MALFORMED, detail),
            Error::Orders(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
