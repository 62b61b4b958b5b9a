//! What customers publish: that something changed and of what kind, and nothing that is personal. Version 1: fields are
//! only ever added.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use crate::events::Event;

pub fn created(id: Uuid) -> Event {
    Event::new("customer.created", subject(id), &json!({ "id": id }))
}

/// With the names of what is another than it was.
pub fn updated(id: Uuid, changed: &BTreeSet<String>) -> Event {
    Event::new("customer.updated", subject(id), &json!({ "id": id, "changed": changed }))
}

pub fn erased(id: Uuid) -> Event {
    Event::new("customer.erased", subject(id), &json!({ "id": id }))
}

fn subject(id: Uuid) -> String {
    format!("customers/{id}")
}
