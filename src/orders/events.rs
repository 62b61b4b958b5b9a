//! What orders publish. Version 1: fields are only ever added.

use serde_json::json;

use super::model::{Order, Return, Shipment};
use crate::events::Event;

pub fn of(r#type: &'static str, order: &Order) -> Event {
    Event::new(r#type, subject(order), order)
}

pub fn shipment(r#type: &'static str, order: &Order, shipment: &Shipment) -> Event {
    let data = json!({
        "order_id": order.head.id, "order_number": order.head.number, "reference": order.head.reference,
        "channel": order.head.channel, "shipment": shipment,
    });
    Event::new(r#type, subject(order), &data)
}

pub fn returned(order: &Order, r#return: &Return) -> Event {
    let data = json!({ "order_id": order.head.id, "order_number": order.head.number, "return": r#return });
    Event::new("return.received", subject(order), &data)
}

fn subject(order: &Order) -> String {
    format!("orders/{}", order.head.id)
}
