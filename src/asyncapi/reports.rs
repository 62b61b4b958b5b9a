//! What goes the other way: what devices report, and what they are answered.

use serde_json::{Map, Value, json};

const JSON: &str = "application/json";

pub(super) fn messages() -> Map<String, Value> {
    let schema = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let result = json!({
        "type": "object",
        "required": ["status"],
        "properties": {
            "device": { "description": "As the report said" },
            "sequence": { "description": "As the report said" },
            "status": { "type": "integer", "description": "200, or why it was refused, as HTTP has it" },
            "body": schema("StockReport"),
            "problem": schema("Problem"),
        },
    });
    let results = json!({
        "type": "object", "required": ["results"],
        "properties": { "results": { "type": "array", "description": "In the order of the reports", "items": result } },
    });
    let messages = json!({
        "reports": {
            "name": "reports", "title": "Reports of stock", "contentType": JSON,
            "summary": "One report, or up to 1,000 of them as a batch",
            "payload": { "anyOf": [schema("NewStockReport"), schema("NewStockReportBatch")] },
        },
        "answer": {
            "name": "answer", "title": "What became of reports", "contentType": JSON,
            "summary": "A result for each report, or the problem of a message that was refused as a whole",
            "payload": { "anyOf": [results, schema("Problem")] },
        },
    });
    let Value::Object(messages) = messages else { unreachable!("it is written as an object") };
    messages
}

fn parameters() -> Value {
    json!({
        "prefix": { "default": "stockhold", "description": "As it is set up" },
        "source": { "description": "The source's code, as of `PUT /v1/feeds/{source}`" },
    })
}

pub(super) fn channel() -> Value {
    json!({
        "address": "{prefix}/feeds/{source}/stock", "title": "What devices report",
        "description": "Only where the setting `mqtt.reports` is on. With quality of service 1 a message is acknowledged to \
                        the broker when its reports are committed, and waits there while no server is up. What comes again \
                        is known by `device` and `sequence`.",
        "servers": [{ "$ref": "#/servers/mqtt" }],
        "messages": { "reports": { "$ref": "#/components/messages/reports" } },
        "parameters": parameters(),
    })
}

pub(super) fn answers() -> Value {
    json!({
        "address": "{prefix}/feeds/{source}/stock/answers", "title": "What became of reports",
        "description": "For whoever listens: with quality of service 0, and not retained.",
        "servers": [{ "$ref": "#/servers/mqtt" }],
        "messages": { "answer": { "$ref": "#/components/messages/answer" } },
        "parameters": parameters(),
    })
}

pub(super) fn operation() -> Value {
    json!({
        "action": "receive", "channel": { "$ref": "#/channels/reports" }, "summary": "Take what devices report",
        "bindings": { "mqtt": { "qos": 1, "bindingVersion": "0.2.0" } },
        "reply": { "channel": { "$ref": "#/channels/answers" } },
    })
}
