//! What can be wrong with a call about reservations.

use uuid::Uuid;

use super::model::Status;
use crate::inventory;
use crate::platform::problem::{self, Problem};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no reservation {0}")]
    NotFound(Uuid),
    #[error("the reservation has ended: it is {}", .0.as_str())]
    Ended(Status),
    #[error("the owner has {0} live reservations already, which is the most there may be")]
    TooManyHolds(i64),
    #[error("the reservation {0} does not exist or is not this owner's")]
    NotYours(Uuid),
    #[error("replace needs owner: only an owner can replace a reservation")]
    ReplaceNeedsOwner,
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::Ended(status) => {
                Problem::new(&problem::RESERVATION_ENDED, detail).with("reservation_status", &status)
            }
            Error::TooManyHolds(_) => Problem::new(&problem::TOO_MANY_HOLDS, detail),
            Error::NotYours(_) => Problem::fault("/replace", "unknown", detail),
            Error::ReplaceNeedsOwner => Problem::fault("/owner", "required", detail),
            Error::Inventory(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
