//! What inventory publishes. Version 1 of each: fields are only ever added.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::book::Book;
use super::model::level::Level;
use super::model::product::Product;
use super::model::sourcing::Part;
use super::repo::claims::Waiting;
use crate::events::Event;

pub fn subject(sku: &str) -> String {
    format!("products/{sku}")
}

pub fn product(r#type: &'static str, product: &Product) -> Event {
    Event::new(r#type, subject(&product.fields.sku.0), product)
}

pub fn product_deleted(sku: &str) -> Event {
    Event::new("product.deleted", subject(sku), &json!({ "sku": sku }))
}

#[derive(Serialize)]
struct LevelChanged<'a> {
    sku: &'a str,
    warehouse: &'a str,
    before: Quantities,
    after: Quantities,
}

/// A level as news tell it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quantities {
    #[serde(flatten)]
    level: Level,
    available: i64,
}

impl From<Level> for Quantities {
    fn from(level: Level) -> Self {
        let available = level.available();
        Self { level, available }
    }
}

/// Everything that changed in a book since it was opened.
pub fn of_book(book: &Book) -> Vec<Event> {
    let mut events = Vec::new();
    for change in book.changes() {
        let before = change.before.cloned().unwrap_or_default();
        let subject = subject(change.sku);
        if change.after.became_low(&before) {
            let data = json!({
                "sku": change.sku, "warehouse": change.warehouse, "available": change.after.available(),
                "reorder_point": change.after.reorder_point,
            });
            events.push(Event::new("stock.low", subject.clone(), &data));
        }
        let (before, after) = (before.into(), change.after.clone().into());
        let data = LevelChanged { sku: change.sku, warehouse: change.warehouse, before, after };
        events.push(Event::new("stock.level_changed", subject, &data));
    }
    for (sku, before, after) in book.changed_states() {
        let data = json!({ "sku": sku, "before": before, "after": after });
        events.push(Event::new("stock.state_changed", subject(sku), &data));
    }
    events
}

/// A line that waited is promised stock.
pub fn backorder_allocated(line: &Waiting, part: &Part) -> Event {
    let data = json!({
        "order_id": line.order_id, "order_line_id": line.order_line_id, "sku": line.sku,
        "warehouse": part.warehouse, "quantity": part.quantity,
    });
    Event::new("order.backorder_allocated", order_subject(line.order_id), &data)
}

fn order_subject(order: Uuid) -> String {
    format!("orders/{order}")
}
