//! The audit trail: each change leaves one row that tells who, what, how it was and became; nobody takes it back.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection;
use stockhold::platform::clock::Timestamp;

use crate::harness::{ADMIN_KEY, Answer, Server, each, eventually, send};
use crate::openapi::Document;
use crate::users::{self, Browser, PASSWORD};

/// Makes every change there is, and looks at the trail after each.
struct Walk {
    server: Server,
    admin: Value,
    calls: u32,
    /// The operations that were tried
    tried: BTreeSet<(String, String)>,
}

impl Walk {
    async fn begin() -> Self {
        let server = Server::start().await;
        let admin = server.get("/v1/keys").await.expect(200)["items"][0].clone();
        Self { server, admin, calls: 0, tried: BTreeSet::new() }
    }

    /// Sends what changes `subject`, and finds it recorded, once: with how `subject` was, as far as it is told, and
    /// with what was answered.
    async fn change(&mut self, method: &str, route: &str, address: &str, subject: &str, body: Value) -> Value {
        let was = self.server.get(subject).await;
        self.calls += 1;
        let request_id = format!("change-{}", self.calls);
        let method_name = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.server.request(method_name, address).header("x-request-id", &request_id);
        let answer = send(if body.is_null() { request } else { request.json(&body) }).await;
        assert!((200..300).contains(&answer.status), "{method} {address}: {}", answer.json);

        let rows = self.server.list(&format!("/v1/audit?request_id={request_id}")).await;
        let [row] = rows.as_slice() else { panic!("{method} {route} left {} rows", rows.len()) };
        let made = answer.header("location").map(str::to_owned);
        assert_eq!(row["operation"], format!("{method} {route}"));
        assert_eq!(row["path"], address.split('?').next().unwrap());
        assert_eq!(row["subject"], made.as_deref().unwrap_or(subject), "{method} {route}");
        assert_eq!(row["by"], json!({"kind": "key", "id": self.admin["id"], "name": "admin"}));
        assert_eq!((&row["status"], &row["address"]), (&json!(answer.status), &json!("127.0.0.1")));
        assert_eq!(row["after"], kept(&answer), "{method} {route}");
        let is_new = (made.is_some() && !route.contains('{'))
            || route == "/v1/channels/{code}/orders"
            || route == "/v1/orders/{id}/return-requests"
            || route == "/v1/orders/{id}/labels"
            || route.ends_with("/batch")
            || route == "/v1/feeds/{source}/stock"
            || route == "/v1/products/{sku}/subscriptions"
            || (method == "PUT" && was.status == 404);
        assert_eq!(row["before"].is_null(), is_new, "{method} {route}: {}", row["before"]);
        if !is_new && was.status == 200 {
            let was = told(&was.json);
            let same = |name: &String| row["before"].get(name).is_none_or(|before| *before == was[name]);
            assert!(was.as_object().unwrap().keys().all(same), "{method} {route}: {} {was}", row["before"]);
        }
        self.tried.insert((method.to_owned(), route.to_owned()));
        answer.json
    }

    async fn post(&mut self, route: &str, address: &str, subject: &str, body: Value) -> Value {
        self.change("POST", route, address, subject, body).await
    }

    async fn make(&mut self, route: &str, body: Value) -> Value {
        self.post(route, route, route, body).await
    }
}

/// An answer as it may be kept: without the secret that it tells, and without what leads to a person.
fn kept(answer: &Answer) -> Value {
    let mut json = told(&answer.json);
    for secret in ["key", "secret"] {
        if let Some(secret) = json.get_mut(secret) {
            *secret = Value::Null;
        }
    }
    if let Some(members) = json.as_object_mut() {
        members.remove("email");
        if members.contains_key("consent") {
            let personal = ["reference", "name", "phone", "language", "addresses", "note", "attributes"];
            personal.iter().for_each(|name| drop(members.remove(*name)));
        }
    }
    json
}

/// Orders, their parcels, labels and returns as an erasure leaves them.
fn told(json: &Value) -> Value {
    let mut json = json.clone();
    let empty = |json: &mut Value, names: &[&str]| {
        let members = json.as_object_mut().into_iter().flatten();
        members.filter(|(name, _)| names.contains(&name.as_str())).for_each(|(_, value)| *value = Value::Null);
    };
    let each = |json: &mut Value, list: &str, names: &[&str]| {
        json.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(|item| empty(item, names));
    };
    let has = |name: &str| json.get(name).is_some();
    if has("oversold") {
        json["order"] = told(&json["order"]);
    } else if has("fulfilment_status") {
        empty(&mut json, &["note", "cancel_reason"]);
        json["customer"] = json!({});
        if json["shipping_address"].is_object() {
            json["shipping_address"].as_object_mut().unwrap().retain(|name, _| name == "country");
        }
        each(&mut json, "shipments", &["tracking_number"]);
        each(&mut json, "returns", &["reason"]);
    } else if has("restocking_fee") {
        empty(&mut json, &["note", "reason"]);
        each(&mut json, "lines", &["reason"]);
    } else if has("received_at") {
        empty(&mut json, &["reason"]);
    } else if has("tracking_number") {
        empty(&mut json, &["tracking_number", "tracking_url", "last_error"]);
    }
    json
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

#[tokio::test]
async fn every_change_leaves_one_row() {
    let mut walk = Walk::begin().await;
    places_and_products(&mut walk).await;
    reservations_and_orders(&mut walk).await;
    payments(&mut walk).await;
    labels(&mut walk).await;
    workflows(&mut walk).await;
    imports(&mut walk).await;
    returns(&mut walk).await;
    carts(&mut walk).await;
    customers(&mut walk).await;
    transfers_feeds_and_keys(&mut walk).await;
    roles_and_users(&mut walk).await;
    webhooks(&mut walk).await;
    jobs(&mut walk).await;
    subscriptions(&mut walk).await;
    sessions(&mut walk).await;
    endings(&mut walk).await;

    let document = Document::of(&walk.server).await;
    // Two ask, and the others are told something by a provider, and have no caller.
    let exceptions = [
        "/v1/stock/query",
        "/v1/orders/{id}/labels/rates",
        "/v1/payments/webhooks/stripe",
        "/v1/carriers/easypost/webhook",
    ];
    let mutates = |(method, path): &(String, String)| method != "GET" && !exceptions.contains(&path.as_str());
    let all: BTreeSet<_> = document.operations().into_iter().filter(mutates).collect();
    let forgotten: Vec<_> = all.difference(&walk.tried).collect();
    assert!(forgotten.is_empty(), "not tried here: {forgotten:?}");
    walk.server.assert_clean().await;
}

async fn places_and_products(walk: &mut Walk) {
    for code in ["LONDON", "LEEDS", "YORK"] {
        walk.make("/v1/warehouses", json!({"code": code, "name": code})).await;
    }
    let (route, leeds) = ("/v1/warehouses/{code}", "/v1/warehouses/LEEDS");
    walk.change("PATCH", route, leeds, leeds, json!({"name": "Leeds"})).await;
    walk.make("/v1/channels", json!({"code": "web", "name": "Web", "warehouses": [{"warehouse": "LONDON"}]})).await;
    let (route, web) = ("/v1/channels/{code}", "/v1/channels/web");
    walk.change("PATCH", route, web, web, json!({"name": "Shop"})).await;
    walk.change("PUT", "/v1/sourcing", "/v1/sourcing", "/v1/sourcing", json!({"rules": ["warehouse_priority"]})).await;

    walk.make("/v1/products", json!({"sku": "TEA-1", "name": "Tea"})).await;
    walk.make("/v1/products/batch", json!({"items": [{"sku": "TEA-2", "name": "Tea"}]})).await;
    let (route, tea) = ("/v1/products/{sku}", "/v1/products/TEA-1");
    walk.change("PATCH", route, tea, tea, json!({"name": "Assam"})).await;
    let level = "/v1/stock/TEA-1/levels/LONDON";
    let received = json!({"sku": "TEA-1", "warehouse": "LONDON", "change": 50, "reason": "received"});
    walk.post("/v1/stock/adjustments", "/v1/stock/adjustments", level, received.clone()).await;
    walk.post("/v1/stock/adjustments", "/v1/stock/adjustments", level, received.clone()).await;
    walk.make("/v1/stock/adjustments/batch", json!({"items": [received]})).await;
    let change = json!({"sku": "TEA-1", "warehouse": "LONDON", "quantity": 1, "from": "good", "to": "damaged"});
    walk.post("/v1/stock/condition-changes", "/v1/stock/condition-changes", level, change).await;
    walk.change("PATCH", "/v1/stock/{sku}/levels/{warehouse}", level, level, json!({"safety_stock": 1})).await;
}

async fn reservations_and_orders(walk: &mut Walk) {
    let lines = json!({"lines": [{"sku": "TEA-1", "quantity": 2}]});
    let held = walk.make("/v1/reservations", lines.clone()).await;
    walk.make("/v1/reservations/batch", json!({"items": [lines]})).await;
    let address = format!("/v1/reservations/{}", id(&held));
    let extend = format!("{address}/extend");
    walk.post("/v1/reservations/{id}/extend", &extend, &address, json!({"ttl_seconds": 6000})).await;
    walk.change("DELETE", "/v1/reservations/{id}", &address, &address, Value::Null).await;

    let order = walk.make("/v1/orders", lines.clone()).await;
    let address = format!("/v1/orders/{}", id(&order));
    // Called by its number, and yet recorded as the order that it is.
    let called = format!("/v1/orders/{}", order["number"]);
    let route = "/v1/orders/{id}";
    let goods = json!({"warehouse": "LONDON", "lines": [{"sku": "TEA-1", "quantity": 1}]});
    let ship = format!("{called}/shipments");
    let shipment = walk.post(&format!("{route}/shipments"), &ship, &address, goods).await;
    let deliver = format!("{called}/shipments/{}/deliver", id(&shipment));
    let subject = format!("{address}/shipments/{}", id(&shipment));
    walk.post(&format!("{route}/shipments/{{shipment_id}}/deliver"), &deliver, &subject, json!({})).await;
    let (tracking, sorted) =
        (format!("{called}/shipments/{}/tracking", id(&shipment)), json!({"status": "in_transit"}));
    walk.post(&format!("{route}/shipments/{{shipment_id}}/tracking"), &tracking, &subject, sorted).await;
    let back = json!({"lines": [{"sku": "TEA-1", "quantity": 1, "warehouse": "LONDON", "disposition": "restock"}]});
    walk.post(&format!("{route}/returns"), &format!("{called}/returns"), &address, back).await;
    walk.change("PATCH", route, &called, &address, json!({"note": "Ring twice"})).await;
    let line = |more: &str| format!("{called}/lines/{}{more}", order["lines"][0]["id"].as_str().unwrap());
    let of_line = format!("{route}/lines/{{line_id}}");
    walk.change("PATCH", &of_line, &line(""), &address, json!({"promised_for": "2027-02-01"})).await;
    let more = json!({"lines": [{"sku": "TEA-1", "quantity": 1}]});
    walk.post(&format!("{route}/lines"), &format!("{called}/lines"), &address, more).await;
    walk.server.stock("TEA-1", "LEEDS", 1).await;
    walk.server.product("MINT").await;
    walk.server.stock("MINT", "LEEDS", 1).await;
    let elsewhere = json!({"warehouse": "LEEDS", "lines": [{"sku": "TEA-1", "quantity": 1}]});
    walk.post(&format!("{route}/reallocate"), &format!("{called}/reallocate"), &address, elsewhere).await;
    let instead = json!({"sku": "MINT", "quantity": 1});
    walk.post(&format!("{of_line}/substitute"), &line("/substitute"), &address, instead).await;
    let new = walk.server.get(&called).await.expect(200)["lines"][1]["id"].as_str().unwrap().to_owned();
    let cancel = format!("{called}/lines/{new}/cancel");
    walk.post(&format!("{of_line}/cancel"), &cancel, &address, json!({"quantity": 1})).await;
    walk.post(&format!("{route}/cancel"), &format!("{called}/cancel"), &address, json!({"reason": "enough"})).await;
    let link = format!("{called}/tracking-link");
    walk.post(&format!("{route}/tracking-link"), &link, &address, Value::Null).await;
    let all = walk.server.list(&format!("/v1/audit?subject={address}")).await;
    assert_eq!(all.len(), 13, "all that was done to the order");
}

async fn payments(walk: &mut Walk) {
    let line = json!({"sku": "TEA-1", "quantity": 1, "unit_price": {"amount": 650, "currency": "GBP"}});
    let order = walk.make("/v1/orders", json!({"lines": [line]})).await;
    let new = json!({"order_id": order["id"], "provider": "manual", "amount": 300});
    let (paid, void) = (walk.make("/v1/payments", new.clone()).await, walk.make("/v1/payments", new).await);
    let (paid, void) = (format!("/v1/payments/{}", id(&paid)), format!("/v1/payments/{}", id(&void)));
    walk.post("/v1/payments/{id}/capture", &format!("{paid}/capture"), &paid, json!({})).await;
    walk.post("/v1/payments/{id}/refund", &format!("{paid}/refund"), &paid, json!({"amount": 100})).await;
    walk.post("/v1/payments/{id}/void", &format!("{void}/void"), &void, Value::Null).await;
}

async fn labels(walk: &mut Walk) {
    let home = json!({"line1": "12 Dock Road", "city": "London", "country": "GB"});
    walk.server.patch("/v1/warehouses/LONDON", json!({"address": home})).await.expect(200);
    let order = json!({"lines": [{"sku": "TEA-1", "quantity": 1}], "shipping_address": home});
    let order = walk.server.post("/v1/orders", order).await.expect(201);
    let new = json!({"provider": "manual", "warehouse": "LONDON", "carrier": "DPD"});
    let address = format!("/v1/orders/{}/labels", id(&order));
    let label = walk.post("/v1/orders/{id}/labels", &address, &address, new).await;
    let label = format!("/v1/labels/{}", id(&label));
    walk.post("/v1/labels/{id}/void", &format!("{label}/void"), &label, Value::Null).await;
}

async fn workflows(walk: &mut Walk) {
    let (route, address) = ("/v1/workflows/{code}", "/v1/workflows/standard");
    let steps = json!({"name": "Standard", "steps": [{"kind": "review"}, {"kind": "payment"}, {"kind": "ship"}]});
    walk.change("PUT", route, address, address, steps).await;
    // What has no price cannot be paid, so that step has to be tried again, and is skipped in the end.
    for decisions in [&["approve", "retry", "skip"][..], &["compensate"][..]] {
        let order = walk.make("/v1/orders", json!({"lines": [{"sku": "TEA-1", "quantity": 1}]})).await;
        let order = format!("/v1/orders/{}", id(&order));
        eventually("it waits for somebody", || async {
            walk.server.get(&format!("{order}/timeline")).await.expect(200)["workflow"].is_object()
        })
        .await;
        let subject = format!("{order}/workflow");
        for what in decisions {
            let route = format!("/v1/orders/{{id}}/workflow/{what}");
            walk.post(&route, &format!("{order}/workflow/{what}"), &subject, json!({"reason": "somebody said so"}))
                .await;
        }
    }
    walk.change("DELETE", route, address, address, Value::Null).await;
}

async fn imports(walk: &mut Walk) {
    let sold = json!({"reference": "302-4711", "lines": [{"sku": "TEA-1", "quantity": 1}]});
    walk.post("/v1/channels/{code}/orders", "/v1/channels/web/orders", "", sold).await;
}

async fn returns(walk: &mut Walk) {
    let order = walk
        .make(
            "/v1/orders",
            json!({"lines": [{"sku": "TEA-1", "quantity": 1, "unit_price": {"amount": 650, "currency": "GBP"}}]}),
        )
        .await;
    let order = format!("/v1/orders/{}", order["number"]);
    walk.server.post(&format!("{order}/shipments"), json!({"warehouse": "LONDON"})).await.expect(201);
    let lines = json!({"lines": [{"sku": "TEA-1", "quantity": 1}]});
    let goods = json!({"lines": [{"sku": "TEA-1", "quantity": 1, "warehouse": "LONDON", "disposition": "restock"}]});
    for decisions in [&["reject"][..], &["approve", "cancel"][..], &["approve", "receive", "exchange", "close"][..]] {
        let asking = format!("{order}/return-requests");
        let request = walk.post("/v1/orders/{id}/return-requests", &asking, "", lines.clone()).await;
        let path = format!("/v1/return-requests/{}", id(&request));
        for what in decisions {
            let body = match *what {
                "approve" => json!({"restocking_fee": 10}),
                "reject" => json!({"reason": "the packet was opened"}),
                "receive" => goods.clone(),
                "exchange" => lines.clone(),
                _ => Value::Null,
            };
            walk.post(&format!("/v1/return-requests/{{id}}/{what}"), &format!("{path}/{what}"), &path, body).await;
        }
    }
}

async fn carts(walk: &mut Walk) {
    let basket = json!({"lines": [{"sku": "TEA-1", "quantity": 1}]});
    let guest = walk.make("/v1/carts", basket.clone()).await;
    let cart = walk.make("/v1/carts", basket.clone()).await;
    let (route, address) = ("/v1/carts/{id}", format!("/v1/carts/{}", id(&cart)));
    walk.change("PATCH", route, &address, &address, json!({"reference": "table 7"})).await;
    let added = json!({"sku": "TEA-1", "quantity": 1});
    walk.post(&format!("{route}/lines"), &format!("{address}/lines"), &address, added).await;
    let line = format!("{address}/lines/{}", id(&cart["lines"][0]));
    let line_route = format!("{route}/lines/{{line_id}}");
    walk.change("PATCH", &line_route, &line, &line, json!({"quantity": 2})).await;
    walk.change("DELETE", &line_route, &line, &line, Value::Null).await;
    let from = json!({"from": guest["id"]});
    walk.post(&format!("{route}/merge"), &format!("{address}/merge"), &address, from).await;
    walk.post(&format!("{route}/checkout"), &format!("{address}/checkout"), &address, json!({})).await;
    let other = walk.make("/v1/carts", basket).await;
    let address = format!("/v1/carts/{}", id(&other));
    walk.change("DELETE", route, &address, &address, Value::Null).await;
}

async fn customers(walk: &mut Walk) {
    let made = walk.make("/v1/customers", json!({"name": "Ada", "email": "ada@example.com"})).await;
    let (route, address) = ("/v1/customers/{id}", format!("/v1/customers/{}", id(&made)));
    walk.change("PATCH", route, &address, &address, json!({"note": "Rings twice"})).await;
    walk.post(&format!("{route}/erase"), &format!("{address}/erase"), &address, Value::Null).await;
}

async fn transfers_feeds_and_keys(walk: &mut Walk) {
    let goods = json!({"from": "LONDON", "to": "LEEDS", "lines": [{"sku": "TEA-1", "quantity": 2}]});
    let transfer = walk.make("/v1/transfers", goods.clone()).await;
    let address = format!("/v1/transfers/{}", id(&transfer));
    walk.post("/v1/transfers/{id}/ship", &format!("{address}/ship"), &address, Value::Null).await;
    let arrived = json!({"lines": [{"sku": "TEA-1", "quantity": 2}]});
    walk.post("/v1/transfers/{id}/receipts", &format!("{address}/receipts"), &address, arrived).await;
    let other = walk.make("/v1/transfers", goods).await;
    let address = format!("/v1/transfers/{}", id(&other));
    walk.post("/v1/transfers/{id}/cancel", &format!("{address}/cancel"), &address, Value::Null).await;

    let (route, scales) = ("/v1/feeds/{source}", "/v1/feeds/scales");
    for name in ["Scales", "Balance"] {
        walk.change("PUT", route, scales, scales, json!({"name": name, "warehouse": "LONDON"})).await;
    }
    let count = json!({"sku": "TEA-1", "count": 60, "reported_at": Timestamp::now()});
    walk.post("/v1/feeds/{source}/stock", "/v1/feeds/scales/stock", scales, json!({"items": [count]})).await;
    walk.change("DELETE", route, scales, scales, Value::Null).await;

    let key = walk.make("/v1/keys", json!({"name": "till", "scopes": ["stock:read"]})).await;
    let address = format!("/v1/keys/{}", id(&key));
    let rotate = format!("{address}/rotate");
    let rotated = walk.post("/v1/keys/{id}/rotate", &rotate, &address, json!({"overlap_seconds": 60})).await;
    walk.change("DELETE", "/v1/keys/{id}", &address, &address, Value::Null).await;
    let stored = walk.server.dump().await;
    for told in [&key, &rotated] {
        let secret = &told["key"].as_str().unwrap()[14..];
        assert!(!stored.contains(secret), "a secret stands in the database");
    }
    assert!(!stored.contains(ADMIN_KEY), "a secret stands in the database");
}

async fn webhooks(walk: &mut Walk) {
    let made = walk.make("/v1/webhooks", json!({"url": "https://shop.example.com/", "enabled": false})).await;
    let address = format!("/v1/webhooks/{}", id(&made));
    let below = |name: &str| format!("{address}/{name}");
    walk.post("/v1/webhooks/{id}/rotate", &below("rotate"), &address, json!({"overlap_hours": 1})).await;
    let replay = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"});
    walk.post("/v1/webhooks/{id}/replay", &below("replay"), &address, replay).await;
    let delivery = walk.post("/v1/webhooks/{id}/test", &below("test"), &address, Value::Null).await;
    let again = below(&format!("deliveries/{}/redeliver", id(&delivery)));
    walk.post("/v1/webhooks/{id}/deliveries/{delivery}/redeliver", &again, &address, Value::Null).await;
    walk.change("PATCH", "/v1/webhooks/{id}", &address, &address, json!({"description": "shop"})).await;
    walk.change("DELETE", "/v1/webhooks/{id}", &address, &address, Value::Null).await;
}

async fn roles_and_users(walk: &mut Walk) {
    let (route, picker) = ("/v1/roles/{name}", "/v1/roles/picker");
    for scopes in [json!(["stock:read"]), json!(["stock:read", "catalog:read"])] {
        walk.change("PUT", route, picker, picker, json!({"scopes": scopes})).await;
    }
    walk.change("DELETE", route, picker, picker, Value::Null).await;
    let user = walk.make("/v1/users", json!({"login": "ben@example.com", "name": "Ben", "role": "clerk"})).await;
    let (route, address) = ("/v1/users/{id}", format!("/v1/users/{}", id(&user)));
    walk.change("PATCH", route, &address, &address, json!({"role": "viewer"})).await;
    let (password, sessions) = (format!("{address}/password"), format!("{address}/sessions"));
    let planted = json!({"password": "a planted secret of Ben's"});
    walk.change("PUT", "/v1/users/{id}/password", &password, &address, planted).await;
    walk.change("DELETE", "/v1/users/{id}/sessions", &sessions, &address, Value::Null).await;
    let identity = format!("{address}/identity");
    walk.change("DELETE", "/v1/users/{id}/identity", &identity, &address, Value::Null).await;
    walk.change("DELETE", route, &address, &address, Value::Null).await;
    assert!(!walk.server.dump().await.contains("a planted secret"), "a password stands in the database");
}

async fn subscriptions(walk: &mut Walk) {
    let (route, address) = ("/v1/products/{sku}/subscriptions", "/v1/products/TEA-1/subscriptions");
    let made = walk.post(route, address, address, json!({"email": "ada@example.com"})).await;
    let address = format!("/v1/subscriptions/{}", id(&made));
    walk.change("DELETE", "/v1/subscriptions/{id}", &address, &address, Value::Null).await;
}

async fn jobs(walk: &mut Walk) {
    let address = walk.server.idle_job().await;
    for what in ["cancel", "retry"] {
        let below = format!("{address}/{what}");
        walk.post(&format!("/v1/jobs/{{id}}/{what}"), &below, &address, Value::Null).await;
    }
}

/// What users do of their own sessions is in their name, and what opens a session is nowhere.
async fn sessions(walk: &mut Walk) {
    let server = &walk.server;
    let anna = users::user(server, "anna@example.com", "clerk", json!({})).await;
    let browser = Browser::log_in(server, "anna@example.com").await;
    let new = json!({"present_password": PASSWORD, "password": "another planted secret"});
    send(browser.request(Method::PUT, "/v1/session/password").json(&new)).await.expect(204);
    send(browser.request(Method::DELETE, "/v1/session")).await.expect(204);
    let wrong = json!({"login": "anna@example.com", "password": "a wrong planted secret"});
    send(server.anonymous(Method::POST, "/v1/session").json(&wrong)).await.refused(401, "login-failed");

    let rows = server.list(&format!("/v1/audit?caller={anna}")).await;
    let all = ["DELETE /v1/session", "PUT /v1/session/password", "POST /v1/session"];
    assert_eq!(each(&rows, "operation"), all);
    for row in &rows {
        assert_eq!(row["by"], json!({"kind": "user", "id": anna, "name": "anna@example.com"}));
        assert_eq!((&row["address"], row["request_id"].is_string()), (&json!("127.0.0.1"), true));
    }
    assert_eq!(rows[0]["before"]["id"], browser.session["id"]);
    assert_eq!(rows[1]["subject"], format!("/v1/users/{anna}"));
    assert_eq!(rows[2]["after"]["id"], browser.session["id"]);
    let stored = server.dump().await;
    for secret in ["planted secret", PASSWORD, browser.session["csrf_token"].as_str().unwrap()] {
        assert!(!stored.contains(secret), "a secret stands in the database");
    }
    for operation in all {
        let (method, path) = operation.split_once(' ').unwrap();
        walk.tried.insert((method.to_owned(), path.to_owned()));
    }
}

async fn endings(walk: &mut Walk) {
    for (route, address) in [
        ("/v1/products/{sku}", "/v1/products/TEA-2"),
        ("/v1/channels/{code}", "/v1/channels/web"),
        ("/v1/warehouses/{code}", "/v1/warehouses/YORK"),
    ] {
        walk.change("DELETE", route, address, address, Value::Null).await;
    }
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_row() {
    let server = Server::start().await;
    server.shop(&[("TEA-1", 5)]).await;
    let hold = json!({"lines": [{"sku": "TEA-1", "quantity": 1}]});
    server.post_once("/v1/reservations", "once", hold.clone()).await.expect(201);
    let before = server.list("/v1/audit").await;

    let again = server.post_once("/v1/reservations", "once", hold.clone()).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let too_many = json!({"lines": [{"sku": "TEA-1", "quantity": 50}]});
    server.post_once("/v1/reservations", "refused", too_many).await.refused(409, "insufficient-stock");
    server.post("/v1/products", json!({"sku": "TEA-1", "name": "again"})).await.refused(409, "already-exists");
    server.post("/v1/products", json!({})).await.refused(422, "validation");
    server.delete("/v1/products/NONE").await.refused(404, "not-found");
    send(server.anonymous(Method::POST, "/v1/reservations").json(&hold)).await.refused(401, "unauthenticated");
    let all_refused = json!({"items": [{"sku": "TEA-1", "name": "again"}]});
    server.post_once("/v1/products/batch", "all-refused", all_refused).await.expect(200);
    server.post("/v1/stock/query", json!({"skus": ["TEA-1"]})).await.expect(200);
    server.get("/v1/stock/TEA-1").await.expect(200);
    assert_eq!(server.list("/v1/audit").await, before);
}

#[tokio::test]
async fn the_trail_is_found_by_whom_what_and_when() {
    let server = Server::start().await;
    server.shop(&[("TEA-1", 5), ("TEA-10", 0)]).await;
    let made = server.post("/v1/keys", json!({"name": "buyer", "scopes": ["catalog:write"]})).await.expect(201);
    let patch = server.anonymous(Method::PATCH, "/v1/products/TEA-1").bearer_auth(made["key"].as_str().unwrap());
    send(patch.json(&json!({"name": "Assam"}))).await.expect(200);
    let found = |filter: String| {
        let server = &server;
        async move { server.list(&format!("/v1/audit?limit=2&{filter}")).await }
    };

    let all = found(String::new()).await;
    // Two products, a warehouse, stock, a key, a change; and the first key, which the server made.
    assert_eq!(all.len(), 7);
    assert_eq!((&all[6]["by"]["kind"], &all[6]["operation"]), (&json!("server"), &json!("bootstrap")));
    assert!(all.windows(2).all(|pair| pair[0]["time"].as_str() >= pair[1]["time"].as_str()), "the newest first");
    let by_buyer = found(format!("caller={}", id(&made))).await;
    assert_eq!(by_buyer.len(), 1);
    assert_eq!((&by_buyer[0]["before"]["name"], &by_buyer[0]["after"]["name"]), (&json!("TEA-1"), &json!("Assam")));
    assert_eq!(found("operation=POST%20/v1/products".to_owned()).await.len(), 2);
    let of_product = found("subject=/v1/products/TEA-1".to_owned()).await;
    assert_eq!(each(&of_product, "operation"), ["PATCH /v1/products/{sku}", "POST /v1/products"]);
    assert_eq!(found("subject=/v1/products".to_owned()).await.len(), 3);
    let time = all[3]["time"].as_str().unwrap();
    let (until, since) = (found(format!("to={time}")).await, found(format!("from={time}")).await);
    assert_eq!(until.len() + since.len(), all.len());
    assert!(since.contains(&all[3]) && !until.contains(&all[3]));
    server.get("/v1/audit?who=me").await.invalid(&["/query/who unknown_field"]);
}

#[tokio::test]
async fn the_application_cannot_change_or_delete_what_is_written() {
    let server = Server::start().await;
    server.shop(&[("TEA-1", 5)]).await;
    let mut tx = server.app.db.begin().await.unwrap();
    for sql in [
        "UPDATE platform.audit SET caller_name = 'nobody'",
        "DELETE FROM platform.audit",
        "TRUNCATE platform.audit",
        "DROP TABLE platform.audit",
        "DELETE FROM platform.audit_rest",
        "SELECT platform.turn_audit_months(0, 1)",
        "ALTER TABLE platform.audit DISABLE TRIGGER ALL",
        "UPDATE inventory.movements SET quantity = 1",
        "DELETE FROM inventory.movements",
        "UPDATE _sqlx_migrations SET success = false",
    ] {
        let mut attempt = tx.begin().await.unwrap();
        let error = sqlx::query(sql).execute(&mut *attempt).await.expect_err(sql);
        let code = error.as_database_error().and_then(|e| e.code()).map(std::borrow::Cow::into_owned);
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
        attempt.rollback().await.unwrap();
    }
    // Not even who may do everything does it by mistake.
    let month = "(SELECT tableoid::regclass::text FROM platform.audit LIMIT 1)";
    let partition = format!("DO $$ BEGIN EXECUTE 'DELETE FROM ' || {month}; END $$");
    for sql in
        ["UPDATE platform.audit SET status = 1", "DELETE FROM platform.audit", "TRUNCATE platform.audit", &partition]
    {
        let refused = server.sql(sql).await.expect_err(sql);
        assert!(refused.to_string().contains("append-only"), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn what_is_older_than_it_is_to_be_kept_goes_by_the_month() {
    let server = Server::start().await;
    let old = "INSERT INTO platform.audit (time, id, caller_kind, caller_name, operation)
               VALUES (clock_timestamp() - interval '40 days', gen_random_uuid(), 'server', 'server', 'old'),
                      (clock_timestamp() - interval '20 days', gen_random_uuid(), 'server', 'server', 'young')";
    server.sql(old).await.unwrap();
    let turn = |days: i32| {
        let db = server.app.db.clone();
        async move { stockhold::platform::audit::turn_months(&db, days).await.unwrap() }
    };
    turn(0).await;
    assert_eq!(server.list("/v1/audit?operation=old").await.len(), 1);
    turn(30).await;
    assert_eq!(server.list("/v1/audit?operation=old").await.len(), 0);
    assert_eq!(server.list("/v1/audit?operation=young").await.len(), 1);
}
