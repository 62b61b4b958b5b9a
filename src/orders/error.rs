//! What can be wrong with a call about orders.

use uuid::Uuid;

use crate::platform::problem::{self, Fault, Problem};
use crate::{inventory, reservations};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no order {0}")]
    NotFound(String),
    #[error("there is no shipment {0} of this order")]
    NoShipment(Uuid),
    #[error("there is no line {0} of this order")]
    NoLine(Uuid),
    #[error("{0}")]
    State(String),
    #[error("the order does not allow that")]
    Conflict(Vec<Fault>),
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Reservations(#[from] reservations::Error),
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound(_) | Error::NoShipment(_) | Error::NoLine(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::State(_) => Problem::new(&problem::INVALID_STATE, detail),
            Error::Conflict(faults) => Problem::new(&problem::INVALID_STATE, detail).with_faults(faults),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Reservations(cause) => cause.into(),
            Error::Inventory(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
