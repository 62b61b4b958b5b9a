//! Ids of our own making: UUIDv7, so that what is made later sorts later.

use uuid::Uuid;

#[allow(clippy::disallowed_methods)] // the one place that makes ids
pub fn new() -> Uuid {
    Uuid::now_v7()
}
