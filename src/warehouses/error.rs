//! What can be wrong with a call about warehouses and channels.

use crate::platform::problem::{self, Fault, Problem};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no warehouse {0}")]
    NoWarehouse(String),
    #[error("there is no channel {0}")]
    NoChannel(String),
    #[error("there is a warehouse {0} already")]
    WarehouseExists(String),
    #[error("there is a channel {0} already")]
    ChannelExists(String),
    #[error("a code cannot be changed: records name it for ever")]
    CodeIsFixed,
    #[error("{0}")]
    InUse(String),
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoWarehouse(_) | Error::NoChannel(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::WarehouseExists(_) | Error::ChannelExists(_) => Problem::new(&problem::ALREADY_EXISTS, detail),
            Error::CodeIsFixed => Problem::fault("/code", "fixed", detail),
            Error::InUse(_) => Problem::new(&problem::IN_USE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Database(cause) => cause.into(),
        }
    }
}
