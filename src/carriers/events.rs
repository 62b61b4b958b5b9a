//! What carriers publish. Version 1: fields are only ever added.

use serde_json::json;

use super::model::Tracking;
use super::model::label::Label;
use crate::events::Event;
use crate::orders::Order;

pub fn changed(order: &Order, tracking: &Tracking) -> Event {
    let data = json!({ "order_id": order.head.id, "order_number": order.head.number, "tracking": tracking });
    Event::new("shipment.tracking_changed", format!("orders/{}", order.head.id), &data)
}

pub fn of_label(r#type: &'static str, label: &Label) -> Event {
    Event::new(r#type, format!("labels/{}", label.id), label)
}
