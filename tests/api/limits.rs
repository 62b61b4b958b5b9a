//! What callers limited to warehouses or channels can do, and what they see.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Server, each, send};

struct Limited<'a> {
    server: &'a Server,
    key: String,
}

impl<'a> Limited<'a> {
    async fn to(server: &'a Server, limits: Value) -> Self {
        let mut body = json!({"name": "limited", "scopes": ["stock:write", "reservations:write", "orders:write", "warehouse_ops:write"]});
        body.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        let made = server.post("/v1/keys", body).await.expect(201);
        Self { server, key: made["key"].as_str().unwrap().to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        send(self.server.anonymous(Method::GET, path).bearer_auth(&self.key)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.server.anonymous(Method::POST, path).bearer_auth(&self.key).json(&body)).await
    }
}

/// LONDON sells through web and LEEDS through till; both have ten of TEA-1.
async fn two_places() -> Server {
    let server = Server::start().await;
    server.product("TEA-1").await;
    for (warehouse, channel) in [("LONDON", "web"), ("LEEDS", "till")] {
        server.warehouse(warehouse).await;
        server.channel(channel, &[(warehouse, 0)]).await;
        server.stock("TEA-1", warehouse, 10).await;
    }
    server
}

fn lines(quantity: i64) -> Value {
    json!([{"sku": "TEA-1", "quantity": quantity}])
}

#[tokio::test]
async fn a_shop_limited_to_its_channel_need_not_name_it() {
    let server = two_places().await;
    let shop = Limited::to(&server, json!({"channels": ["web"]})).await;
    assert_eq!(shop.get("/v1/stock/TEA-1").await.expect(200)["available"], 10, "of LONDON alone");
    let query = shop.post("/v1/stock/query", json!({"skus": ["TEA-1"]})).await.expect(200);
    assert_eq!(query["items"][0]["available"], 10);

    let held = shop.post("/v1/reservations", json!({"lines": lines(2)})).await.expect(201);
    assert_eq!((&held["channel"], &held["lines"][0]["allocations"][0]["warehouse"]), (&json!("web"), &json!("LONDON")));
    let order = shop.post("/v1/orders", json!({"reservation_id": held["id"]})).await.expect(201);
    assert_eq!(order["channel"], "web");
    let theirs = server.post("/v1/orders", json!({"lines": lines(1), "channel": "till"})).await.expect(201);
    let nobodys = server.post("/v1/orders", json!({"lines": lines(1)})).await.expect(201);
    for other in [&theirs, &nobodys] {
        let path = format!("/v1/orders/{}", other["number"]);
        let there = shop.get(&path).await.refused(404, "not-found");
        assert!(there["detail"].as_str().unwrap().contains("there is no order"));
        shop.post(&format!("{path}/cancel"), json!({})).await.refused(404, "not-found");
    }
    let listed = shop.get("/v1/orders").await.expect(200);
    assert_eq!(each(listed["items"].as_array().unwrap(), "id"), [&order["id"]]);
    shop.get("/v1/orders?channel=till").await.refused(403, "forbidden");
    shop.post("/v1/reservations", json!({"lines": lines(1), "channel": "till"})).await.refused(403, "forbidden");
    let reservations = shop.get("/v1/reservations").await.expect(200);
    assert_eq!(each(reservations["items"].as_array().unwrap(), "id"), [&held["id"]]);
    server.assert_clean().await;
}

#[tokio::test]
async fn with_several_channels_the_call_says_which() {
    let server = two_places().await;
    let shop = Limited::to(&server, json!({"channels": ["web", "till"]})).await;
    let refused = shop.post("/v1/reservations", json!({"lines": lines(1)})).await.refused(403, "forbidden");
    assert!(refused["detail"].as_str().unwrap().contains("till, web"), "{refused}");
    let held = shop.post("/v1/reservations", json!({"lines": lines(1), "channel": "till"})).await.expect(201);
    // The channel of an order is that of its reservation, so it need not be said again.
    shop.post("/v1/orders", json!({"reservation_id": held["id"]})).await.expect(201);
    server.assert_clean().await;
}

#[tokio::test]
async fn nobody_replaces_or_buys_a_reservation_of_another_channel() {
    let server = two_places().await;
    let body = json!({"lines": lines(1), "channel": "till", "owner": "cart-1"});
    let theirs = server.reserve(body).await;
    let shop = Limited::to(&server, json!({"channels": ["web"]})).await;
    let path = format!("/v1/reservations/{}", theirs["id"].as_str().unwrap());
    shop.get(&path).await.refused(404, "not-found");
    shop.post(&format!("{path}/extend"), json!({"ttl_seconds": 60})).await.refused(404, "not-found");
    let replace = |id: &Value| json!({"lines": lines(1), "owner": "cart-1", "replace": id});
    let nobody = json!("0193a1b2-0000-7000-8000-000000000000");
    for call in ["replace", "buy"] {
        let mut answers = Vec::new();
        for id in [&theirs["id"], &nobody] {
            let answer = match call {
                "replace" => shop.post("/v1/reservations", replace(id)).await,
                _ => shop.post("/v1/orders", json!({"reservation_id": id})).await,
            };
            answers.push((answer.status, answer.json["detail"].to_string().replace(id.as_str().unwrap(), "…")));
        }
        assert_eq!(answers[0], answers[1], "{call}");
        assert_eq!(answers[0].0, 422, "{call}");
    }
    assert_eq!(server.get(&path).await.expect(200)["status"], "active");
}

#[tokio::test]
async fn a_clerk_limited_to_a_warehouse_works_there() {
    let server = two_places().await;
    let clerk = Limited::to(&server, json!({"warehouses": ["LEEDS"]})).await;
    let stock = clerk.get("/v1/stock/TEA-1").await.expect(200);
    assert_eq!(
        (&stock["on_hand"], each(stock["warehouses"].as_array().unwrap(), "warehouse")),
        (&json!(10), vec![&json!("LEEDS")])
    );
    assert_eq!(
        each(clerk.get("/v1/warehouses").await.expect(200)["items"].as_array().unwrap(), "code"),
        [&json!("LEEDS")]
    );

    let adjust = |warehouse: &str| json!({"sku": "TEA-1", "warehouse": warehouse, "change": 1, "reason": "found"});
    clerk.post("/v1/stock/adjustments", adjust("LEEDS")).await.expect(201);
    clerk.post("/v1/stock/adjustments", adjust("LONDON")).await.refused(403, "forbidden");
    let batch = json!({"items": [adjust("LONDON"), {"sku": 1}, adjust("LEEDS"), adjust("NOWHERE")]});
    let answer = clerk.post("/v1/stock/adjustments/batch", batch).await.expect(200);
    assert_eq!(each(answer["results"].as_array().unwrap(), "status"), [403, 422, 201, 403].map(Value::from).each_ref());
    let movements = clerk.get("/v1/stock/movements").await.expect(200);
    assert_eq!(movements["items"].as_array().unwrap().len(), 3, "none of LONDON");
    clerk.get("/v1/stock/movements?warehouse=LONDON").await.refused(403, "forbidden");

    // An order that is split over both: the clerk ships the own part, and cannot touch the rest.
    let order = server.post("/v1/orders", json!({"lines": lines(20)})).await.expect(201);
    let path = format!("/v1/orders/{}", order["number"]);
    clerk.get(&path).await.expect(200);
    clerk.post(&format!("{path}/shipments"), json!({"warehouse": "LONDON"})).await.refused(403, "forbidden");
    clerk.post(&format!("{path}/cancel"), json!({})).await.refused(403, "forbidden");
    let mine = clerk.post(&format!("{path}/shipments"), json!({"warehouse": "LEEDS"})).await.expect(201);
    let theirs = server.post(&format!("{path}/shipments"), json!({"warehouse": "LONDON"})).await.expect(201);
    let deliver = |shipment: &Value| format!("{path}/shipments/{}/deliver", shipment["id"].as_str().unwrap());
    clerk.post(&deliver(&theirs), json!({})).await.refused(404, "not-found");
    clerk.post(&deliver(&mine), json!({})).await.expect(200);
    let back = |warehouse: &str| json!({"lines": [{"sku": "TEA-1", "quantity": 1, "disposition": "restock", "warehouse": warehouse}]});
    clerk.post(&format!("{path}/returns"), back("LONDON")).await.refused(403, "forbidden");
    clerk.post(&format!("{path}/returns"), back("LEEDS")).await.expect(201);
    server.assert_clean().await;
}

#[tokio::test]
async fn transfers_are_sent_by_one_end_and_received_by_the_other() {
    let server = two_places().await;
    let (sender, receiver) = (
        Limited::to(&server, json!({"warehouses": ["LONDON"]})).await,
        Limited::to(&server, json!({"warehouses": ["LEEDS"]})).await,
    );
    let body = json!({"from": "LONDON", "to": "LEEDS", "lines": lines(3)});
    receiver.post("/v1/transfers", body.clone()).await.refused(403, "forbidden");
    let transfer = sender.post("/v1/transfers", body).await.expect(201);
    let path = format!("/v1/transfers/{}", transfer["id"].as_str().unwrap());
    receiver.post(&format!("{path}/ship"), json!({})).await.refused(404, "not-found");
    receiver.post(&format!("{path}/cancel"), json!({})).await.refused(404, "not-found");
    sender.post(&format!("{path}/ship"), json!({})).await.expect(200);
    sender.post(&format!("{path}/receipts"), json!({})).await.refused(404, "not-found");
    receiver.post(&format!("{path}/receipts"), json!({})).await.expect(201);
    for key in [&sender, &receiver] {
        assert_eq!(key.get(&path).await.expect(200)["status"], "received");
        assert_eq!(key.get("/v1/transfers").await.expect(200)["items"].as_array().unwrap().len(), 1);
    }
    server.assert_clean().await;
}
