//! Running the server: health, metrics, its documents, and the self-check over all modules.

mod http;
pub mod self_check;

use crate::app::App;
use crate::lifecycle::Shutdown;

pub use http::{documents, router};

#[derive(Clone)]
pub struct Ops {
    app: App,
    shutdown: Shutdown,
}

impl Ops {
    pub fn new(app: App, shutdown: Shutdown) -> Self {
        Self { app, shutdown }
    }
}
