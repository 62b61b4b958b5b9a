//! Money for orders: what was promised, taken and given back, by whom.

mod error;
mod events;
mod model;
mod provider;
mod settings;
mod stripe;

pub use error::Error;
pub use settings::Settings;
