//! What can be wrong with a call about webhooks.

use uuid::Uuid;

use crate::platform::problem::{self, Fault, Problem};

/// Why a call about webhooks failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404 `not-found`
    #[error("there is no webhook {0}")]
    NoWebhook(Uuid),
    /// 404 `not-found`
    #[error("this webhook has no delivery {0}")]
    NoDelivery(Uuid),
    /// 409 `in-use`
    #[error("there are {0} webhooks already: delete one that is not needed any more")]
    TooMany(i64),
    /// 422 `validation`
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoWebhook(_) | Error::NoDelivery(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::TooMany(_) => Problem::new(&problem::IN_USE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Database(cause) => cause.into(),
        }
    }
}
