//! What can be wrong with a call about jobs.

use uuid::Uuid;

use crate::platform::problem::{self, Problem};

/// Why a call about jobs failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404 `not-found`
    #[error("there is no job {0}")]
    NoJob(Uuid),
    /// 409 `invalid-state`
    #[error("the job has ended: it is {0}")]
    Ended(String),
    /// 409 `invalid-state`
    #[error("a server is at it just now")]
    UnderWay,
    /// 409 `invalid-state`
    #[error("another job of the same kind and key waits")]
    AnotherWaits,
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoJob(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::Ended(_) | Error::UnderWay | Error::AnotherWaits => Problem::new(&problem::INVALID_STATE, detail),
            Error::Database(cause) => cause.into(),
        }
    }
}
