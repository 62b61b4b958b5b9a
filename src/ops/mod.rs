//! Running the server: health, metrics, its documents, its jobs, and the self-check over all modules.

mod http;
mod self_check;

use crate::lifecycle::Shutdown;
use crate::platform::db::Db;
use crate::platform::jobs::Jobs;

pub use http::{close_when_stopping, documents, router};
pub use self_check::{Parts, Report, SelfCheck};

#[derive(Clone)]
pub struct Ops {
    db: Db,
    self_check: SelfCheck,
    jobs: Jobs,
    shutdown: Shutdown,
}

impl Ops {
    pub fn new(db: Db, self_check: SelfCheck, jobs: Jobs, shutdown: Shutdown) -> Self {
        Self { db, self_check, jobs, shutdown }
    }
}
