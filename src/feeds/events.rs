//! What feeds publish. Version 1: fields are only ever added.

use super::model::discrepancy::Discrepancy;
use crate::events::Event;

/// `feed.discrepancy`, of the product: the discrepancy as `GET /v1/feeds/{source}/discrepancies` shows it.
pub(super) fn discrepancy(found: &Discrepancy) -> Event {
    Event::new("feed.discrepancy", format!("products/{}", found.sku), found)
}
