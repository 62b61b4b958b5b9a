//! The AsyncAPI document: it is committed, is one by AsyncAPI's own schema, and says what events hold.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use stockhold::config::Config;
use stockhold::events::CATALOGUE;
use stockhold::platform::clock::Timestamp;

use crate::harness::{Server, eventually};
use crate::labels;
use crate::labels::stand_in::{EasyPost, UNPAYABLE};
use crate::payments::by_stripe;
use crate::payments::stand_in::{DECLINED, Stripe};
use crate::webhooks::{self, Receiver, Reply};

/// `UPDATE_OPENAPI=1 cargo test --test api asyncapi` writes the file.
#[tokio::test]
async fn the_committed_document_is_the_server_s() {
    let server = Server::start().await;
    let served = server.get("/asyncapi.json").await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    let text = serde_json::to_string_pretty(&server.app.events_document()).unwrap() + "\n";
    assert_eq!(served.json, serde_json::from_str::<Value>(&text).unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("asyncapi/asyncapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "asyncapi/asyncapi.json is out of date: UPDATE_OPENAPI=1 cargo test --test api asyncapi"
    );
}

fn committed() -> Value {
    serde_json::from_str(include_str!("../../asyncapi/asyncapi.json")).unwrap()
}

fn faults(schema: &Value, instance: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_document_is_one_by_asyncapi_s_own_schema() {
    let schema: Value = serde_json::from_str(include_str!("../asyncapi/3.0.0.json")).unwrap();
    assert_eq!(faults(&schema, &committed()), Vec::<String>::new());
    let mut broken = committed();
    broken["operations"]["streamEvents"]["action"] = json!("tell");
    assert!(!faults(&schema, &broken).is_empty(), "a broken document is seen");
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(at: &Value, document: &Value) {
        match at {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to} is not there");
                }
                members.values().for_each(|value| check(value, document));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }
    let document = committed();
    check(&document, &document);
}

/// A shop in which everything happens that there are events of.
async fn everything_happens(server: &Server, stripe: &Stripe) {
    server.shop(&[("TEA", 20), ("MUG", 5), ("LATE", 0)]).await;
    server.warehouse("LEEDS").await;
    server.channel("web", &[("MAIN", 0), ("LEEDS", 0)]).await;
    for path in ["/v1/warehouses/LEEDS", "/v1/channels/web", "/v1/products/MUG"] {
        server.patch(path, json!({"name": "Another"})).await.expect(200);
    }
    server.warehouse("GONE").await;
    server.channel("gone", &[]).await;
    server.product("GONE").await;
    for path in ["/v1/warehouses/GONE", "/v1/channels/gone", "/v1/products/GONE"] {
        assert_eq!(server.delete(path).await.status, 204, "{path}");
    }
    server.patch("/v1/stock/MUG/levels/MAIN", json!({"reorder_point": 4})).await.expect(200);
    server.stock("MUG", "MAIN", -2).await;

    let kept = server.hold("TEA", 1, 600).await;
    let path = format!("/v1/reservations/{}", kept["id"].as_str().unwrap());
    server.post(&format!("{path}/extend"), json!({"ttl_seconds": 900})).await.expect(200);
    server.delete(&path).await.expect(204);
    server.hold("TEA", 1, 1).await;
    let bought = server.hold("TEA", 2, 600).await;
    let order = server.post("/v1/orders", json!({"reservation_id": bought["id"]})).await.expect(201);
    let path = format!("/v1/orders/{}", order["number"]);
    let sent = server.post(&format!("{path}/shipments"), json!({"warehouse": "MAIN"})).await.expect(201);
    let tracking = format!("{path}/shipments/{}/tracking", sent["id"].as_str().unwrap());
    server.post(&tracking, json!({"status": "in_transit"})).await.expect(200);
    let arrived = format!("{path}/shipments/{}/deliver", sent["id"].as_str().unwrap());
    server.post(&arrived, json!({})).await.expect(200);
    let back = json!({"lines": [{"sku": "TEA", "quantity": 1, "disposition": "restock", "warehouse": "MAIN"}]});
    server.post(&format!("{path}/returns"), back).await.expect(201);
    let other = server.order("TEA", 1).await;
    server.patch(&format!("/v1/orders/{}", other["number"]), json!({"ship_together": true})).await.expect(200);
    server.post(&format!("/v1/orders/{}/cancel", other["number"]), json!({})).await.expect(200);

    let line = json!({"sku": "TEA", "quantity": 1, "unit_price": {"amount": 650, "currency": "EUR"}});
    let order = server.post("/v1/orders", json!({"lines": [line]})).await.expect(201);
    payments(server, stripe, &order).await;
    server.post(&format!("/v1/orders/{}/cancel", order["number"]), json!({})).await.expect(200);
    eventually("somebody is asked to pay it back", async || server.events_written("order.flagged").await == 1).await;

    parcels(server).await;
    workflows(server).await;
    returns(server).await;
    let customer = server.post("/v1/customers", json!({"name": "Ada"})).await.expect(201);
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    server.patch(&path, json!({"note": "Rings twice"})).await.expect(200);
    server.post(&format!("{path}/erase"), json!({})).await.expect(200);

    let basket = json!({"lines": [{"sku": "TEA", "quantity": 1}]});
    let (cart, guest) = (server.cart(basket.clone()).await, server.cart(basket).await);
    let path = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
    server.post(&format!("{path}/merge"), json!({"from": guest["id"]})).await.expect(200);
    server.delete(&path).await.expect(204);
    server.patch(&path, json!({"reference": "again"})).await.expect(200);
    server.post(&format!("{path}/checkout"), json!({})).await.expect(201);

    server.patch("/v1/products/LATE", json!({"availability": {"backorder_limit": 5}})).await.expect(200);
    server.order("LATE", 1).await;
    server.stock("LATE", "MAIN", 3).await;

    let lines = json!([{"sku": "TEA", "quantity": 2}]);
    let transfer =
        server.post("/v1/transfers", json!({"from": "MAIN", "to": "LEEDS", "lines": lines})).await.expect(201);
    let path = format!("/v1/transfers/{}", transfer["id"].as_str().unwrap());
    server.post(&format!("{path}/ship"), json!({})).await.expect(200);
    server.post(&format!("{path}/receipts"), json!({"lines": lines})).await.expect(201);
    server.put("/v1/feeds/scales", json!({"name": "Scales", "warehouse": "MAIN"})).await.expect(200);
    let report = json!({"sku": "MUG", "reported_at": Timestamp::now(), "sequence": 1, "count": 1});
    server.post("/v1/feeds/scales/stock", json!({"items": [report]})).await.expect(200);
    let (gone, at) = Receiver::on("127.0.0.1").await;
    gone.then([Reply::Status(410)]);
    let webhook = server.post("/v1/webhooks", json!({"url": format!("http://{at}/")})).await.expect(201);
    server.post(&format!("/v1/webhooks/{}/test", webhook["id"].as_str().unwrap()), json!({})).await.expect(201);
    eventually("it is disabled", async || server.events_written("webhook.disabled").await == 1).await;
    eventually("the hold expires", async || server.events_written("reservation.expired").await == 1).await;
}

/// Money for an order is declined, runs out, is let go of, taken, and paid back in part.
async fn payments(server: &Server, stripe: &Stripe, order: &Value) {
    by_stripe::pay(server, order, json!({"payment_method": DECLINED})).await;
    eventually("it is declined", async || server.events_written("payment.failed").await == 1).await;
    let card = by_stripe::pay(server, order, json!({"payment_method": "pm_card"})).await;
    eventually("it is authorised", async || server.events_written("payment.authorised").await == 1).await;
    stripe.change(&by_stripe::reference(server, &card).await, |intent| {
        intent.status = "canceled".to_owned();
        intent.cancellation_reason = Some("automatic".to_owned());
    });
    server.sql("UPDATE payments.payments SET looked_at = looked_at - interval '6 minutes'").await.unwrap();
    server.app.payments.watch().await.unwrap();
    eventually("it runs out", async || server.events_written("payment.expired").await == 1).await;
    let new = json!({"order_id": order["id"], "provider": "manual"});
    for (new, what, body) in [(new.clone(), "void", Value::Null), (new, "capture", json!({}))] {
        let payment = server.post("/v1/payments", new).await.expect(201);
        let path = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
        server.post(&format!("{path}/{what}"), body).await.expect(200);
        if what == "capture" {
            server.post(&format!("{path}/refund"), json!({"amount": 1})).await.expect(200);
        }
    }
}

/// One label is made and taken back, and another cannot be paid.
async fn parcels(server: &Server) {
    let home = json!({"line1": "12 Dock Road", "city": "London", "country": "GB"});
    server.patch("/v1/warehouses/MAIN", json!({"address": home})).await.expect(200);
    let order = json!({"lines": [{"sku": "TEA", "quantity": 1}], "shipping_address": home});
    let order = server.post("/v1/orders", order).await.expect(201);
    let labels = format!("/v1/orders/{}/labels", order["number"]);
    let parcel = json!({"warehouse": "MAIN", "parcel": {"weight": UNPAYABLE}});
    let rates = server.post(&format!("{labels}/rates"), parcel).await.expect(200);
    let rate = json!({"provider": "easypost", "rate_id": rates["items"][0]["rate_id"]});
    server.post(&labels, rate).await.expect(202);
    eventually("it cannot be paid", async || server.events_written("label.failed").await == 1).await;
    let manual = json!({"provider": "manual", "warehouse": "MAIN", "carrier": "DPD"});
    let label = server.post(&labels, manual).await.expect(201);
    let void = format!("/v1/labels/{}/void", label["id"].as_str().unwrap());
    server.post(&void, Value::Null).await.expect(200);
}

/// Returns are asked for and rejected or cancelled; one comes in, and is closed.
async fn returns(server: &Server) {
    let line = json!({"sku": "TEA", "quantity": 1, "unit_price": {"amount": 650, "currency": "EUR"}});
    let order = server.post("/v1/orders", json!({"lines": [line]})).await.expect(201);
    let order = format!("/v1/orders/{}", order["number"]);
    server.post(&format!("{order}/shipments"), json!({"warehouse": "MAIN"})).await.expect(201);
    let goods = json!({"lines": [{"sku": "TEA", "quantity": 1, "disposition": "restock", "warehouse": "MAIN"}]});
    for decisions in [&["reject"][..], &["cancel"][..], &["approve", "receive", "exchange", "close"][..]] {
        let lines = json!({"lines": [{"sku": "TEA", "quantity": 1}]});
        let request = server.post(&format!("{order}/return-requests"), lines.clone()).await.expect(201);
        for what in decisions {
            let body = match *what {
                "approve" => json!({}),
                "reject" => json!({"reason": "the packet was opened"}),
                "receive" => goods.clone(),
                "exchange" => lines.clone(),
                _ => Value::Null,
            };
            let path = format!("/v1/return-requests/{}/{what}", request["id"].as_str().unwrap());
            server.post(&path, body).await.expect(200);
        }
    }
}

/// One order passes all steps of a workflow, and another, which has no price, is stuck and given up.
async fn workflows(server: &Server) {
    let steps = json!([{"kind": "review"}, {"kind": "payment"}]);
    server.put("/v1/workflows/standard", json!({"name": "Standard", "steps": steps})).await.expect(200);
    let orders = [server.order("TEA", 1).await, server.order("TEA", 1).await];
    eventually("both began", async || server.events_written("workflow.started").await == 2).await;
    for (order, then) in orders.iter().zip(["skip", "compensate"]) {
        for what in ["approve", then] {
            let path = format!("/v1/orders/{}/workflow/{what}", order["number"]);
            server.post(&path, json!({})).await.expect(200);
        }
    }
    server.delete("/v1/workflows/standard").await.expect(204);
}

#[tokio::test]
async fn events_are_what_the_document_says() {
    let stripe = Stripe::start().await;
    let easypost = EasyPost::start().await;
    let (stripe_settings, carriers) = (by_stripe::config(&stripe.url).stripe, labels::config(&easypost.url).carriers);
    let server = Server::with(Config { stripe: stripe_settings, carriers, ..webhooks::config() }).await;
    everything_happens(&server, &stripe).await;
    let document = committed();
    let mut seen = BTreeSet::new();
    for event in server.events("").await {
        let r#type = event["type"].as_str().unwrap();
        let message = &document["components"]["messages"][r#type];
        assert!(message.is_object(), "{type} is not in the document");
        let mut schema = message["payload"].clone();
        schema["components"] = document["components"].clone();
        assert_eq!(faults(&schema, &event), Vec::<String>::new(), "{event:#}");
        seen.insert(r#type.to_owned());
    }
    let unseen: Vec<&str> = CATALOGUE.iter().map(|kind| kind.r#type).filter(|kind| !seen.contains(*kind)).collect();
    assert_eq!(unseen, ["instance.restored"], "tests/backup.rs restores; the others happen here");
    server.assert_clean().await;
}
