//! What clients were told. It is all that they know, and the server must agree with every word.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What became of each thing, by the last definite answer.
#[derive(Default)]
pub struct Told {
    /// Reservation → its status at the end
    pub reservations: BTreeMap<String, &'static str>,
    /// Order → its status and fulfilment status
    pub orders: BTreeMap<String, &'static str>,
    /// Movement, by its note or the order it was made for → quantity
    pub movements: BTreeMap<String, i64>,
}

pub const CANCELLED: &str = "cancelled, unfulfilled";
pub const PLACED: &str = "placed, unfulfilled";
pub const SHIPPED: &str = "placed, fulfilled";

/// Shared by all clients of a scenario.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Told>>);

impl Journal {
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn reservation(&self, id: &str, status: &'static str) {
        self.told().reservations.insert(id.to_owned(), status);
    }

    pub fn order(&self, id: &str, status: &'static str) {
        self.told().orders.insert(id.to_owned(), status);
    }

    pub fn movement(&self, reference: String, quantity: i64) {
        self.told().movements.insert(reference, quantity);
    }
}
