//! What can go wrong when the modules below are asked.

use crate::platform::problem::Problem;
use crate::{inventory, orders, payments, workflows};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Orders(#[from] orders::Error),
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error(transparent)]
    Payments(#[from] payments::Error),
    #[error(transparent)]
    Workflows(#[from] workflows::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Orders(cause) => cause.into(),
            Error::Inventory(cause) => cause.into(),
            Error::Payments(cause) => cause.into(),
            Error::Workflows(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
