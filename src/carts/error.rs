//! What can be wrong with a call about carts.

use uuid::Uuid;

use super::model::CartStatus;
use crate::platform::problem::{self, Fault, Problem};
use crate::{inventory, orders, reservations};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no cart {0}")]
    NotFound(Uuid),
    #[error("there is no line {0} in this cart")]
    NoLine(Uuid),
    #[error("the cart has ended: it is {}", .0.as_str())]
    Ended(CartStatus),
    #[error("the cart is empty")]
    Empty,
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error(transparent)]
    Reservations(#[from] reservations::Error),
    #[error(transparent)]
    Orders(#[from] orders::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// For a call about one line: what is wrong with that is wrong with the body itself.
    pub(super) fn of_line(self, n: usize) -> Self {
        let faults = match self {
            Self::Invalid(faults)
            | Self::Reservations(reservations::Error::Inventory(inventory::Error::Invalid(faults))) => faults,
            other => return other,
        };
        let prefix = format!("/lines/{n}/");
        let faults = faults.into_iter().map(|mut fault| {
            if let Some(field) = fault.pointer.strip_prefix(&prefix) {
                fault.pointer = format!("/{field}");
            }
            fault
        });
        Self::Invalid(faults.collect())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound(_) | Error::NoLine(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::Ended(_) | Error::Empty => Problem::new(&problem::INVALID_STATE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Inventory(cause) => cause.into(),
            Error::Reservations(cause) => cause.into(),
            Error::Orders(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
