//! The AsyncAPI document: where events can be had, and what each of them holds. The schemas of what they tell of are
//! those of the OpenAPI document.

mod data;
mod reports;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::events::{CATALOGUE, Kind};

const DESCRIPTION: &str = "What happens to products, stock, reservations, orders and transfers, as CloudEvents.

Every channel has the same events, at least once each and in the order of their changes for each subject: drop what has an \
`id` that was seen before. `sequence` grows along the feed. New types and new members come without notice; ignore what you \
do not know. The same events can be read page by page with `GET /v1/events`, as `/openapi.json` tells.

Where it is set up so, devices report stock through an MQTT broker, as others do with `POST /v1/feeds/{source}/stock`.";

const JSON: &str = "application/cloudevents+json";

/// The document, beside this OpenAPI document.
pub fn document(api: &OpenApi) -> Value {
    let api = serde_json::to_value(api).expect("the document is plain data");
    let mut schemas = Map::new();
    schemas.insert("CloudEvent".to_owned(), envelope());
    let events = CATALOGUE.iter().map(|kind| (kind.r#type.to_owned(), message(kind, &api, &mut schemas)));
    let mut messages: Map<String, Value> = events.collect();
    messages.extend(reports::messages());
    for name in references(&messages["reports"]).into_iter().chain(references(&messages["answer"])) {
        include(&name, &api, &mut schemas);
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "stockhold",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": JSON,
        "servers": servers(),
        "channels": channels(),
        "operations": operations(),
        "components": {
            "schemas": schemas,
            "messages": messages,
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "An API key with the scope `events:read`" },
                "password": { "type": "userPassword", "description": "As the broker is set up" },
            },
        },
    })
}

/// What all events have.
fn envelope() -> Value {
    json!({
        "type": "object",
        "description": "A CloudEvent 1.0",
        "required": ["id", "specversion", "source", "type", "time", "subject", "sequence"],
        "properties": {
            "id": { "type": "string", "format": "uuid", "description": "The same whenever the event is sent" },
            "specversion": { "const": "1.0" },
            "source": { "const": "/stockhold" },
            "type": { "type": "string", "description": "What happened" },
            "time": { "$ref": "#/components/schemas/Timestamp" },
            "subject": { "type": "string", "description": "What it happened to: `products/TEA-1`" },
            "sequence": {
                "type": "string", "pattern": "^[0-9]{20}$",
                "description": "The position in the feed; later events compare greater",
            },
            "data": { "description": "What there is to know of it, by its type" },
            "dataref": {
                "type": "string", "format": "uri-reference",
                "description": "In place of `data` that are too large for a broker: where the server has them, as the \
                                `data` of the one item",
            },
        },
        "oneOf": [{ "required": ["data"] }, { "required": ["dataref"] }],
    })
}

fn message(kind: &Kind, api: &Value, schemas: &mut Map<String, Value>) -> Value {
    let data = data::schema(kind.r#type);
    include("#/components/schemas/Timestamp", api, schemas);
    for name in references(&data) {
        include(&name, api, schemas);
    }
    json!({
        "name": kind.r#type,
        "title": kind.r#type,
        "summary": kind.summary,
        "contentType": JSON,
        "payload": {
            "allOf": [
                { "$ref": "#/components/schemas/CloudEvent" },
                {
                    "type": "object",
                    "properties": {
                        "type": { "const": kind.r#type },
                        "subject": { "type": "string", "pattern": format!("^{}", kind.about) },
                        "data": data,
                    },
                },
            ],
        },
    })
}

/// Takes a schema over from the OpenAPI document, with those that it refers to.
fn include(reference: &str, api: &Value, schemas: &mut Map<String, Value>) {
    let name = reference.trim_start_matches("#/components/schemas/");
    if schemas.contains_key(name) {
        return;
    }
    let mut schema = api["components"]["schemas"][name].clone();
    assert!(schema.is_object(), "the OpenAPI document has no schema {name}");
    as_json_schema(&mut schema);
    let inner = references(&schema);
    schemas.insert(name.to_owned(), schema);
    inner.iter().for_each(|inner| include(inner, api, schemas));
}

/// `example` is OpenAPI's word for the one of JSON Schema's `examples`.
fn as_json_schema(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members
                .get("example")
                .is_some_and(|example| example.get("type").is_none() && example.get("$ref").is_none())
                && let Some(example) = members.remove("example")
            {
                members.insert("examples".to_owned(), json!([example]));
            }
            members.values_mut().for_each(as_json_schema);
        }
        Value::Array(items) => items.iter_mut().for_each(as_json_schema),
        _ => {}
    }
}

fn references(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

fn servers() -> Value {
    json!({
        "stockhold": {
            "host": "127.0.0.1:8080", "protocol": "http", "title": "The server itself",
            "security": [{ "$ref": "#/components/securitySchemes/key" }],
        },
        "webhooks": {
            "host": "shop.example.com", "protocol": "https", "title": "Who a webhook was made for",
        },
        "nats": {
            "host": "nats.example.com:4222", "protocol": "nats", "title": "NATS with JetStream, where one is set up",
            "security": [{ "$ref": "#/components/securitySchemes/password" }],
        },
        "mqtt": {
            "host": "mqtt.example.com:1883", "protocol": "mqtt", "protocolVersion": "3.1.1",
            "title": "An MQTT broker, where one is set up",
            "security": [{ "$ref": "#/components/securitySchemes/password" }],
        },
    })
}

fn channels() -> Value {
    let messages: Map<String, Value> = CATALOGUE
        .iter()
        .map(|kind| (kind.r#type.to_owned(), json!({ "$ref": format!("#/components/messages/{}", kind.r#type) })))
        .collect();
    let parameters = |subject: &str| {
        json!({
            "prefix": { "default": "stockhold", "description": "As it is set up" },
            "type": { "description": "The event's type" },
            "subject": { "description": subject },
        })
    };
    json!({
        "stream": {
            "address": "/v1/events/stream", "title": "Server-Sent Events",
            "description": "Each event is the `data` of a Server-Sent Event whose `id` is a cursor of the feed: send it as \
                            `Last-Event-ID` to go on after it.",
            "servers": [{ "$ref": "#/servers/stockhold" }], "messages": messages,
        },
        "webhooks": {
            "address": null, "title": "Webhooks",
            "description": "A POST to each webhook that wants the event, signed as Standard Webhooks asks for \
                            (`webhook-id`, `webhook-timestamp`, `webhook-signature`), until it is answered with 2xx.",
            "servers": [{ "$ref": "#/servers/webhooks" }], "messages": messages,
        },
        "nats": {
            "address": "{prefix}.{type}.{subject}", "title": "NATS subjects",
            "description": "Kept by a stream. `Nats-Msg-Id` is the event's `id`, so that the stream drops what it has \
                            already.",
            "servers": [{ "$ref": "#/servers/nats" }], "messages": messages,
            "parameters": parameters(
                "The event's subject with dots for its slashes: `products.TEA-1`. Within a part of it, `.`, `*`, `>`, `%`, \
                 spaces and control characters are `%` and two hexadecimal digits for each byte in UTF-8; an empty part is `%`",
            ),
        },
        "mqtt": {
            "address": "{prefix}/{type}/{subject}", "title": "MQTT topics",
            "description": "With quality of service 1, and not retained.",
            "servers": [{ "$ref": "#/servers/mqtt" }], "messages": messages,
            "parameters": parameters(
                "The event's subject: `products/TEA-1`. In it, `+`, `#`, `$`, `%` and control characters are `%` and two \
                 hexadecimal digits for each byte in UTF-8",
            ),
        },
        "reports": reports::channel(),
        "answers": reports::answers(),
    })
}

fn operations() -> Value {
    json!({
        "streamEvents": {
            "action": "send", "channel": { "$ref": "#/channels/stream" }, "summary": "Follow the event feed",
            "bindings": { "http": { "method": "GET", "bindingVersion": "0.3.0" } },
        },
        "callWebhook": {
            "action": "send", "channel": { "$ref": "#/channels/webhooks" },
            "summary": "Every event that its filter wants",
            "bindings": { "http": { "method": "POST", "bindingVersion": "0.3.0" } },
        },
        "publishToNats": {
            "action": "send", "channel": { "$ref": "#/channels/nats" }, "summary": "Every event that its filter wants",
        },
        "publishToMqtt": {
            "action": "send", "channel": { "$ref": "#/channels/mqtt" }, "summary": "Every event that its filter wants",
            "bindings": { "mqtt": { "qos": 1, "retain": false, "bindingVersion": "0.2.0" } },
        },
        "takeReports": reports::operation(),
    })
}
