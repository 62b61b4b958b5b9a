//! What can be wrong with a call about customers.

use uuid::Uuid;

use crate::platform::problem::{self, Fault, Problem};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no customer {0}")]
    NotFound(Uuid),
    #[error("another customer has this reference")]
    ReferenceTaken,
    #[error("the customer was erased")]
    Erased,
    #[error("the customer waits for what was ordered: {}", .0.join(", "))]
    Open(Vec<String>),
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::ReferenceTaken => Problem::new(&problem::ALREADY_EXISTS, detail),
            Error::Erased => Problem::new(&problem::INVALID_STATE, detail),
            Error::Open(_) => Problem::new(&problem::IN_USE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Database(cause) => cause.into(),
        }
    }
}
