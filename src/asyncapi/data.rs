//! What the data of each type of event are.

use serde_json::{Map, Value, json};

/// The schema of an event's `data`. Members may be added, so others than these are no fault.
pub(super) fn schema(r#type: &str) -> Value {
    match r#type {
        "channel.deleted" | "warehouse.deleted" => members(&[("code", text())]),
        "product.deleted" => members(&[("sku", text())]),
        "customer.created" | "customer.erased" => members(&[("id", id())]),
        "customer.updated" => {
            let changed =
                json!({ "type": "array", "items": text(), "description": "What is another than it was, by name" });
            members(&[("id", id()), ("changed", changed)])
        }
        "feed.discrepancy" => named("FeedDiscrepancy"),
        "webhook.disabled" => members(&[("id", id()), ("url", text()), ("why", text())]),
        "instance.restored" => members(&[("backup_taken_at", text())]),
        "order.backorder_allocated" => members(&[
            ("order_id", id()),
            ("order_line_id", id()),
            ("sku", text()),
            ("warehouse", text()),
            ("quantity", number()),
        ]),
        "order.flagged" => members(&[("order_id", id()), ("order_number", number()), ("reason", text())]),
        "stock.level_changed" => members(&[
            ("sku", text()),
            ("warehouse", text()),
            ("before", named("Quantities")),
            ("after", named("Quantities")),
        ]),
        "stock.low" => {
            let point = json!({ "type": ["integer", "null"] });
            members(&[("sku", text()), ("warehouse", text()), ("available", number()), ("reorder_point", point)])
        }
        "stock.state_changed" => {
            members(&[("sku", text()), ("before", named("StockState")), ("after", named("StockState"))])
        }
        "return.received" => members(&[("order_id", id()), ("order_number", number()), ("return", named("Return"))]),
        "shipment.tracking_changed" => {
            members(&[("order_id", id()), ("order_number", number()), ("tracking", named("ShipmentTracking"))])
        }
        "transfer.shipped" | "transfer.received" => transfer(r#type),
        _ => match r#type.split('.').next() {
            Some("cart") => named("Cart"),
            Some("channel") => named("Channel"),
            Some("label") => named("Label"),
            Some("order") => named("Order"),
            Some("return") => named("ReturnRequest"),
            Some("payment") => named("Payment"),
            Some("workflow") => named("WorkflowRun"),
            Some("product") => named("Product"),
            Some("reservation") => named("Reservation"),
            Some("shipment") => {
                let text_or_null = || json!({ "type": ["string", "null"] });
                members(&[
                    ("order_id", id()),
                    ("order_number", number()),
                    ("reference", text_or_null()),
                    ("channel", text_or_null()),
                    ("shipment", named("Shipment")),
                ])
            }
            Some("warehouse") => named("Warehouse"),
            _ => json!({ "type": "object" }),
        },
    }
}

fn transfer(r#type: &str) -> Value {
    let list = |items: Value| json!({ "type": "array", "items": items });
    let goods = || members(&[("sku", text()), ("quantity", number())]);
    let reference = json!({ "type": ["string", "null"] });
    let mut all =
        vec![("id", id()), ("from", text()), ("to", text()), ("reference", reference), ("lines", list(goods()))];
    if r#type == "transfer.received" {
        let closed = json!({ "type": "boolean", "description": "Nothing is on its way any more" });
        all.extend([("lost", list(goods())), ("closed", closed)]);
    }
    members(&all)
}

/// An object that has all of these.
fn members(all: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> =
        all.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

/// A schema of the OpenAPI document.
fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "integer" })
}

fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}
