//! What can be wrong with a call about products and stock.

use std::sync::Arc;

use super::model::book::Refused;
use super::model::views::Shortage;
use crate::platform::problem::{self, Fault, Problem};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no product {0}")]
    NoProduct(String),
    #[error("there is no level of {sku} in {warehouse}")]
    NoLevel { sku: String, warehouse: String },
    #[error("there is no channel {0}, or it is not active")]
    NoChannel(String),
    #[error("there is a product {0} already")]
    ProductExists(String),
    #[error("the barcode {barcode} belongs to {sku}")]
    BarcodeTaken { barcode: String, sku: String },
    #[error("a sku cannot be changed: records name it for ever")]
    SkuIsFixed,
    #[error("{0}")]
    InUse(String),
    #[error("{expected} were expected, {found} are there")]
    Stale { expected: i64, found: i64 },
    #[error("not enough stock of {}", short_skus(.0))]
    Insufficient(Vec<Shortage>),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// For all who read together
    #[error("the database failed")]
    Reading(#[from] Arc<sqlx::Error>),
}

fn short_skus(shortages: &[Shortage]) -> String {
    let skus: Vec<&str> = shortages.iter().take(5).map(|s| s.sku.as_str()).collect();
    let more = shortages.len().saturating_sub(5);
    if more == 0 { skus.join(", ") } else { format!("{} and {more} more", skus.join(", ")) }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoProduct(_) | Error::NoLevel { .. } => Problem::new(&problem::NOT_FOUND, detail),
            Error::NoChannel(_) => Problem::fault("/channel", "unknown", detail),
            Error::ProductExists(_) | Error::BarcodeTaken { .. } => Problem::new(&problem::ALREADY_EXISTS, detail),
            Error::SkuIsFixed => Problem::fault("/sku", "fixed", detail),
            Error::InUse(_) => Problem::new(&problem::IN_USE, detail),
            Error::Stale { expected, found } => {
                let stale = Problem::new(&problem::STALE_QUANTITY, detail);
                stale.with("expected_on_hand", &expected).with("on_hand", &found)
            }
            Error::Insufficient(shortages) => {
                Problem::new(&problem::INSUFFICIENT_STOCK, detail).with("shortages", &shortages)
            }
            Error::Refused(Refused::Short { sku, wanted, available, .. }) => {
                let shortages = [Shortage::of(sku, wanted, available)];
                Problem::new(&problem::INSUFFICIENT_STOCK, detail).with("shortages", &shortages)
            }
            Error::Refused(Refused::TooMuch { .. }) => Problem::new(&problem::INVALID_STATE, detail),
            Error::Invalid(faults) => Problem::validation(faults),
            Error::Database(cause) => cause.into(),
            Error::Reading(cause) => cause.into(),
        }
    }
}
