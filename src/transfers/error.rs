//! What can be wrong with a call about transfers.

use uuid::Uuid;

use super::model::TransferStatus;
use crate::inventory;
use crate::platform::problem::{self, Fault, Problem};

/// Why a call about transfers failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404 `not-found`
    #[error("there is no transfer {0}")]
    NoTransfer(Uuid),
    /// 409 `invalid-state`; the problem also has the member `transfer_status`
    #[error("the transfer is {}: only one that is {} can be {action}", .status.as_str(), .needed.as_str())]
    State { status: TransferStatus, needed: TransferStatus, action: &'static str },
    /// 409 `invalid-state`: a warehouse of a draft was deleted meanwhile
    #[error("there is no warehouse {} any more", .0.join(", "))]
    WarehouseGone(Vec<String>),
    /// 422 `validation`, with every fault
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    /// What inventory refused, as it says it: 409 `insufficient-stock` above all
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoTransfer(_) => Problem::new(&problem::NOT_FOUND, detail),
            Error::State { status, .. } => {
                Problem::new(&problem::INVALID_STATE, detail).with("transfer_status", &status)
            }
            Error::WarehouseGone(_) => Problem::new(&problem::INVALID_STATE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Inventory(cause) => cause.into(),
            Error::Database(cause) => cause.into(),
        }
    }
}
