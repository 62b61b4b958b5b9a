//! Warehouses, channels and the default sourcing rules.

use serde_json::json;

use crate::harness::{Server, each};

#[tokio::test]
async fn a_warehouse_is_created_read_changed_and_deleted() {
    let server = Server::start().await;
    let body = json!({"code": "LONDON", "name": "London docks", "address": {"city": "London", "country": "GB"}});
    let created = server.post("/v1/warehouses", body.clone()).await;
    assert_eq!(created.header("location"), Some("/v1/warehouses/LONDON"));
    let created = created.expect(201);
    assert_eq!(created["priority"], 100);
    assert_eq!(created["time_zone"], "UTC");
    assert_eq!(created["active"], true);
    assert_eq!(created["address"], json!({"city": "London", "country": "GB"}));
    assert_eq!(server.get("/v1/warehouses/LONDON").await.expect(200), created);

    server.post("/v1/warehouses", body).await.refused(409, "already-exists");

    let patch =
        json!({"priority": 5, "time_zone": "Europe/London", "address": {"city": null, "line1": "12 Dock Road"}});
    let changed = server.patch("/v1/warehouses/LONDON", patch).await.expect(200);
    assert_eq!(changed["priority"], 5);
    assert_eq!(changed["time_zone"], "Europe/London");
    assert_eq!(changed["address"], json!({"country": "GB", "line1": "12 Dock Road"}));
    assert_eq!(changed["name"], "London docks");
    server.patch("/v1/warehouses/LONDON", json!({"code": "PARIS"})).await.invalid(&["/code fixed"]);

    server.delete("/v1/warehouses/LONDON").await.expect(204);
    server.get("/v1/warehouses/LONDON").await.refused(404, "not-found");
    server.delete("/v1/warehouses/LONDON").await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn a_warehouse_in_use_cannot_be_deleted() {
    let server = Server::start().await;
    server.shop(&[("TEA", 1)]).await;
    server.warehouse("LINKED").await;
    server.channel("web", &[("LINKED", 0)]).await;
    server.delete("/v1/warehouses/MAIN").await.refused(409, "in-use");
    server.delete("/v1/warehouses/LINKED").await.refused(409, "in-use");

    server.stock("TEA", "MAIN", -1).await;
    server.delete("/v1/warehouses/MAIN").await.expect(204);
    server.delete("/v1/channels/web").await.expect(204);
    server.delete("/v1/warehouses/LINKED").await.expect(204);

    // The ledger keeps naming it, and a new one of the same code starts empty.
    assert_eq!(server.list("/v1/stock/movements?warehouse=MAIN").await.len(), 2);
    server.warehouse("MAIN").await;
    assert_eq!(server.level("TEA", "MAIN").await["on_hand"], 0);
    server.assert_clean().await;
}

#[tokio::test]
async fn warehouses_are_listed_by_code_and_filtered() {
    let server = Server::start().await;
    for code in ["C", "A", "B"] {
        server.warehouse(code).await;
    }
    server.patch("/v1/warehouses/B", json!({"active": false})).await.expect(200);
    assert_eq!(each(&server.list("/v1/warehouses?limit=1").await, "code"), ["A", "B", "C"]);
    assert_eq!(each(&server.list("/v1/warehouses?active=true").await, "code"), ["A", "C"]);
    assert_eq!(each(&server.list("/v1/warehouses?active=false").await, "code"), ["B"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_channel_is_created_read_changed_and_deleted() {
    let server = Server::start().await;
    server.warehouse("A").await;
    server.warehouse("B").await;
    let body =
        json!({"code": "web", "name": "Web shop", "warehouses": [{"warehouse": "B", "buffer": 2}, {"warehouse": "A"}]});
    let created = server.post("/v1/channels", body.clone()).await;
    assert_eq!(created.header("location"), Some("/v1/channels/web"));
    let created = created.expect(201);
    assert_eq!(created["warehouses"], json!([{"warehouse": "B", "buffer": 2}, {"warehouse": "A", "buffer": 0}]));
    assert_eq!(created["sourcing"], json!(null));
    assert_eq!(server.get("/v1/channels/web").await.expect(200), created);
    server.post("/v1/channels", body).await.refused(409, "already-exists");

    let patch = json!({"warehouses": [{"warehouse": "A", "buffer": 1}], "sourcing": ["nearest", "most_stock"]});
    let changed = server.patch("/v1/channels/web", patch).await.expect(200);
    assert_eq!(changed["warehouses"], json!([{"warehouse": "A", "buffer": 1}]));
    assert_eq!(changed["sourcing"], json!(["nearest", "most_stock"]));
    let back = server.patch("/v1/channels/web", json!({"sourcing": null})).await.expect(200);
    assert_eq!(back["sourcing"], json!(null));
    server.patch("/v1/channels/web", json!({"code": "shop"})).await.invalid(&["/code fixed"]);

    server.channel("till", &[]).await;
    server.patch("/v1/channels/till", json!({"active": false})).await.expect(200);
    assert_eq!(each(&server.list("/v1/channels?limit=1").await, "code"), ["till", "web"]);
    assert_eq!(each(&server.list("/v1/channels?active=false").await, "code"), ["till"]);

    server.delete("/v1/channels/web").await.expect(204);
    server.get("/v1/channels/web").await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn every_fault_of_a_channel_is_named() {
    let server = Server::start().await;
    server.warehouse("A").await;
    let body = json!({
        "code": "web", "name": "Web", "sourcing": ["nearest", "nearest"],
        "warehouses": [{"warehouse": "A"}, {"warehouse": "NONE"}, {"warehouse": "A"}],
    });
    let expected = ["/sourcing/1 repeated", "/warehouses/1/warehouse unknown", "/warehouses/2/warehouse repeated"];
    server.post("/v1/channels", body).await.invalid(&expected);
    let body =
        json!({"code": "A B", "name": "", "priority": 1001, "address": {"latitude": 91, "country": "gb"}, "x": 1});
    let expected = [
        "/code pattern",
        "/name min_length",
        "/priority maximum",
        "/address/latitude maximum",
        "/address/country pattern",
        "/x unknown_field",
    ];
    server.post("/v1/warehouses", body).await.invalid(&expected);
    let body = json!({"code": "B", "name": "B", "address": {"latitude": 1.5}});
    server.post("/v1/warehouses", body).await.invalid(&["/address/latitude pair"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn nothing_is_sold_through_a_channel_that_is_inactive_or_gone() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    server.channel("web", &[("MAIN", 0)]).await;
    let sale = json!({"lines": [{"sku": "TEA", "quantity": 1}], "channel": "web"});
    server.reserve(sale.clone()).await;
    server.patch("/v1/channels/web", json!({"active": false})).await.expect(200);
    server.post("/v1/reservations", sale.clone()).await.invalid(&["/channel unknown"]);
    server.post("/v1/orders", sale.clone()).await.invalid(&["/channel unknown"]);
    server.patch("/v1/channels/web", json!({"active": true})).await.expect(200);
    server.reserve(sale.clone()).await;
    server.delete("/v1/channels/web").await.expect(204);
    server.post("/v1/reservations", sale).await.invalid(&["/channel unknown"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn the_default_sourcing_rules_are_read_and_replaced() {
    let server = Server::start().await;
    let default = ["fewest_shipments", "channel_order", "warehouse_priority", "nearest", "most_stock"];
    assert_eq!(server.get("/v1/sourcing").await.expect(200)["rules"], json!(default));
    let rules = json!({"rules": ["most_stock", "nearest"]});
    assert_eq!(server.put("/v1/sourcing", rules.clone()).await.expect(200), rules);
    assert_eq!(server.get("/v1/sourcing").await.expect(200), rules);
    server.put("/v1/sourcing", json!({"rules": ["nearest", "nearest"]})).await.invalid(&["/rules/1 repeated"]);
    server.put("/v1/sourcing", json!({"rules": []})).await.invalid(&["/rules min_items"]);
    server.put("/v1/sourcing", json!({"rules": ["cheapest"]})).await.invalid(&["/rules/0 enum"]);
    assert_eq!(server.get("/v1/sourcing").await.expect(200), rules);
    server.assert_clean().await;
}
