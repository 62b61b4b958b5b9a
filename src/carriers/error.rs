//! What can be wrong with a call about carriers.

use uuid::Uuid;

use super::provider::ProviderError;
use crate::orders;
use crate::platform::problem::{self, Fault, Problem};

/// Why a call about carriers failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 409 `invalid-state`
    #[error("{0} reports of this shipment are kept already")]
    TooMany(usize),
    /// 404 `not-found`
    #[error("there is no label {0}")]
    NoLabel(Uuid),
    /// 404 `not-found`
    #[error("no messages of EasyPost are taken here")]
    NoProvider,
    /// 409 `invalid-state`
    #[error("{0}")]
    State(String),
    /// 422 `validation`
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    /// 422 `validation` where it refuses, else 503 `unavailable`
    #[error("{0}")]
    Provider(#[source] ProviderError),
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
            Error::NoLabel(_) | Error::NoProvider => Problem::new(&problem::NOT_FOUND, detail),
            Error::TooMany(_) | Error::State(_) => Problem::new(&problem::INVALID_STATE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Provider(ProviderError::Refused(told)) => Problem::fault("", "refused", told),
            Error::Provider(ProviderError::Again(told)) => Problem::unavailable(told),
            Error::Forged(_) => Problem::new(&problem::MALFORMED, detail),
            Error::Orders(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
