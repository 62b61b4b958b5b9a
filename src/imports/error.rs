//! What can be wrong with an order from elsewhere.

use crate::orders;
use crate::payments;
use crate::platform::problem::Problem;

/// Why an order could not be taken over. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Orders(#[from] orders::Error),
    #[error(transparent)]
    Payments(#[from] payments::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Orders(cause) => cause.into(),
            Error::Payments(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
