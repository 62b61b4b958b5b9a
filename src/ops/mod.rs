//! Running the server: health, metrics, its documents, and the self-check over all modules.

mod http;
mod self_check;

use crate::lifecycle::Shutdown;
use crate::platform::db::Db;

pub use http::{documents, router};
pub use self_check::{Report, SelfCheck};

#[derive(Clone)]
pub struct Ops {
    db: Db,
    self_check: SelfCheck,
    shutdown: Shutdown,
}

impl Ops {
    pub fn new(db: Db, self_check: SelfCheck, shutdown: Shutdown) -> Self {
        Self { db, self_check, shutdown }
    }
}
