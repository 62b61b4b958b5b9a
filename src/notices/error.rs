//! What can be wrong with a call about notices.

use uuid::Uuid;

use crate::platform::problem::{self, Fault, Problem};

/// Why a call about notices failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404 `not-found`
    #[error("there is no product {0}")]
    NoProduct(String),
    /// 404 `not-found`
    #[error("there is no subscription {0}")]
    NoSubscription(Uuid),
    /// 409 `in-use`
    #[error("{0} wait for this product already")]
    TooMany(i64),
    /// 422 `validation`
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error("stock could not be read")]
    Inventory(#[from] crate::inventory::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoProduct(_) | Error::NoSubscription(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::TooMany(_) => Problem::new(&problem::IN_USE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Inventory(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
