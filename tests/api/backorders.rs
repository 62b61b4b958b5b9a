//! Orders that wait for stock, and what serves them.

use serde_json::{Value, json};

use crate::harness::{Server, eventually};

/// A shop with nothing in it, and two orders that wait: first for 3, then for 4.
async fn two_wait() -> (Server, [Value; 2]) {
    let server = Server::start().await;
    server.shop(&[]).await;
    server.backorderable("TEA", 7).await;
    let first = server.order("TEA", 3).await;
    let second = server.order("TEA", 4).await;
    assert_eq!(first["lines"][0]["backordered"], 3);
    (server, [first, second])
}

/// (allocated, backordered) of an order's first line
async fn got(server: &Server, order: &Value) -> (i64, i64) {
    let order = server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200);
    let line = &order["lines"][0];
    (line["allocated"].as_i64().unwrap(), line["backordered"].as_i64().unwrap())
}

#[tokio::test]
async fn stock_that_arrives_serves_the_oldest_first() {
    let (server, [first, second]) = two_wait().await;
    server.stock("TEA", "MAIN", 2).await;
    assert_eq!((got(&server, &first).await, got(&server, &second).await), ((2, 1), (0, 4)));
    server.stock("TEA", "MAIN", 3).await;
    assert_eq!((got(&server, &first).await, got(&server, &second).await), ((3, 0), (2, 2)));
    // Nobody gets past those who wait.
    assert_eq!(server.available("TEA").await, 0);
    server.stock("TEA", "MAIN", 10).await;
    assert_eq!(got(&server, &second).await, (4, 0));
    assert_eq!(server.available("TEA").await, 8);
    let told = server.events("order.backorder_allocated").await;
    let told: Vec<_> =
        told.iter().map(|e| (e["data"]["order_id"].clone(), e["data"]["quantity"].as_i64().unwrap())).collect();
    let (a, b) = (first["id"].clone(), second["id"].clone());
    assert_eq!(told, [(a.clone(), 2), (a, 1), (b.clone(), 2), (b, 2)]);
    server.assert_clean().await;
}

#[tokio::test]
async fn the_oldest_is_the_one_placed_first() {
    let server = Server::start().await;
    server.shop(&[]).await;
    server.backorderable("TEA", 9).await;
    let late = server.order("TEA", 1).await;
    let body = json!({"lines": [{"sku": "TEA", "quantity": 1}], "placed_at": "2024-01-01T00:00:00Z"});
    let early = server.post("/v1/orders", body).await.expect(201);
    server.stock("TEA", "MAIN", 1).await;
    assert_eq!((got(&server, &early).await, got(&server, &late).await), ((1, 0), (0, 1)));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_transfer_that_arrives_serves_them() {
    let (server, [first, _]) = two_wait().await;
    server.warehouse("FAR").await;
    server.patch("/v1/warehouses/FAR", json!({"active": false})).await.expect(200);
    server.stock("TEA", "FAR", 3).await;
    assert_eq!(got(&server, &first).await, (0, 3));
    server.patch("/v1/products/TEA", json!({"availability": {"backorder_limit": 0}})).await.expect(200);
    server
        .sql("UPDATE warehouses.warehouses SET active = true; UPDATE warehouses.directory SET version = version + 1")
        .await
        .unwrap();
    let body = json!({"from": "FAR", "to": "MAIN", "lines": [{"sku": "TEA", "quantity": 3}]});
    let transfer = server.post("/v1/transfers", body).await.expect(201)["id"].as_str().unwrap().to_owned();
    server.post(&format!("/v1/transfers/{transfer}/ship"), json!({})).await.expect(200);
    assert_eq!(got(&server, &first).await, (0, 3));
    let some = json!({"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 1, "condition": "damaged"}]});
    server.post(&format!("/v1/transfers/{transfer}/receipts"), some).await.expect(201);
    assert_eq!(got(&server, &first).await, (1, 2));
    server.post(&format!("/v1/transfers/{transfer}/receipts"), json!({})).await.expect(201);
    assert_eq!(got(&server, &first).await, (2, 1));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_return_a_cancellation_and_a_release_serve_them() {
    let server = Server::start().await;
    server.shop(&[]).await;
    server.backorderable("TEA", 3).await;
    server.stock("TEA", "MAIN", 3).await;
    let shipped = server.order("TEA", 1).await;
    server.post(&format!("/v1/orders/{}/shipments", shipped["number"]), json!({"warehouse": "MAIN"})).await.expect(201);
    let dropped = server.order("TEA", 1).await;
    let held = server.hold("TEA", 1, 900).await;
    let waiting = server.order("TEA", 3).await;
    assert_eq!(got(&server, &waiting).await, (0, 3));

    let back = json!({"sku": "TEA", "quantity": 1, "disposition": "restock", "warehouse": "MAIN"});
    server.post(&format!("/v1/orders/{}/returns", shipped["number"]), json!({"lines": [back]})).await.expect(201);
    assert_eq!(got(&server, &waiting).await, (1, 2));
    server.post(&format!("/v1/orders/{}/cancel", dropped["number"]), json!({})).await.expect(200);
    assert_eq!(got(&server, &waiting).await, (2, 1));
    server.delete(&format!("/v1/reservations/{}", held["id"].as_str().unwrap())).await.expect(204);
    assert_eq!(got(&server, &waiting).await, (3, 0));
    server.assert_clean().await;
}

#[tokio::test]
async fn what_a_hold_gives_up_by_expiring_serves_them() {
    for server in [Server::start().await, Server::without_sweeper().await] {
        server.shop(&[]).await;
        server.backorderable("TEA", 9).await;
        server.stock("TEA", "MAIN", 2).await;
        let held = server.hold("TEA", 2, 1).await;
        let waiting = server.order("TEA", 2).await;
        let path = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
        eventually("the hold expires", || async { server.get(&path).await.json["status"] == "expired" }).await;
        // Without a sweeper the next sale meets the expired hold; those who wait come first all the same.
        server.order("TEA", 1).await;
        eventually("it is served", || async { got(&server, &waiting).await == (2, 0) }).await;
        server.assert_clean().await;
    }
}

#[tokio::test]
async fn better_terms_serve_them() {
    let server = Server::start().await;
    server.shop(&[]).await;
    server.backorderable("TEA", 9).await;
    server.stock("TEA", "MAIN", 5).await;
    server.patch("/v1/stock/TEA/levels/MAIN", json!({"safety_stock": 5})).await.expect(200);
    let body = json!({"sku": "TEA", "warehouse": "MAIN", "quantity": 2, "from": "good", "to": "quality_control"});
    server.post("/v1/stock/condition-changes", body).await.expect(201);
    let waiting = server.order("TEA", 5).await;
    assert_eq!(got(&server, &waiting).await, (0, 5));
    server.patch("/v1/stock/TEA/levels/MAIN", json!({"safety_stock": 1})).await.expect(200);
    assert_eq!(got(&server, &waiting).await, (2, 3));
    let body = json!({"sku": "TEA", "warehouse": "MAIN", "quantity": 2, "from": "quality_control", "to": "good"});
    server.post("/v1/stock/condition-changes", body).await.expect(201);
    assert_eq!(got(&server, &waiting).await, (4, 1));
    server.assert_clean().await;
}

#[tokio::test]
async fn an_order_waits_for_the_warehouses_that_may_serve_it() {
    let server = Server::start().await;
    server.shop(&[]).await;
    server.warehouse("OTHER").await;
    server.backorderable("TEA", 9).await;
    server.channel("web", &[("MAIN", 1)]).await;
    let pinned = json!({"lines": [{"sku": "TEA", "quantity": 1, "warehouse": "OTHER"}]});
    let pinned = server.post("/v1/orders", pinned).await.expect(201);
    let web = json!({"lines": [{"sku": "TEA", "quantity": 1}], "channel": "web"});
    let web = server.post("/v1/orders", web).await.expect(201);
    server.stock("TEA", "MAIN", 1).await;
    assert_eq!((got(&server, &pinned).await, got(&server, &web).await), ((0, 1), (0, 1)));
    server.stock("TEA", "OTHER", 1).await;
    assert_eq!((got(&server, &pinned).await, got(&server, &web).await), ((1, 0), (0, 1)));
    server.stock("TEA", "MAIN", 1).await;
    assert_eq!(got(&server, &web).await, (1, 0));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_cancelled_order_waits_no_longer() {
    let (server, [first, second]) = two_wait().await;
    server.post(&format!("/v1/orders/{}/cancel", first["number"]), json!({})).await.expect(200);
    assert_eq!(server.get("/v1/stock/TEA").await.expect(200)["backordered"], 4);
    server.stock("TEA", "MAIN", 3).await;
    assert_eq!((got(&server, &first).await, got(&server, &second).await), ((0, 0), (3, 1)));
    server.assert_clean().await;
}

#[tokio::test]
async fn holds_and_orders_share_one_limit() {
    let server = Server::start().await;
    server.shop(&[]).await;
    let preorder = json!({"release_date": "2999-01-01", "limit": 5});
    let body = json!({"sku": "SOON", "name": "Soon", "availability": {"preorder": preorder, "backorder_limit": 100}});
    server.post("/v1/products", body).await.expect(201);
    let held = server.hold("SOON", 2, 900).await;
    server.order("SOON", 2).await;
    let two = json!({"lines": [{"sku": "SOON", "quantity": 2}]});
    server.post("/v1/orders", two.clone()).await.refused(409, "insufficient-stock");
    server.post("/v1/reservations", two).await.refused(409, "insufficient-stock");
    let order = server.post("/v1/orders", json!({"reservation_id": held["id"]})).await.expect(201);
    assert_eq!(order["lines"][0]["backordered"], 2);
    server.order("SOON", 1).await;
    assert_eq!(server.get("/v1/stock/SOON").await.expect(200)["backordered"], 5);
    // A lower limit breaks no promise.
    let lower = json!({"availability": {"preorder": {"limit": 1}}});
    server.patch("/v1/products/SOON", lower).await.expect(200);
    server.stock("SOON", "MAIN", 5).await;
    assert_eq!(got(&server, &order).await, (2, 0));
    server.assert_clean().await;
}

/// Stock that arrives serves orders, and holds keep what they hold. So a hold beyond stock may find stock when it is
/// ordered, and must not wait beside it.
#[tokio::test]
async fn what_was_held_beyond_stock_is_served_when_it_is_ordered() {
    let server = Server::start().await;
    server.shop(&[]).await;
    server.backorderable("TEA", 5).await;
    let hold = server.hold("TEA", 5, 900).await;
    assert_eq!(hold["lines"][0]["backordered"], 5);
    server.stock("TEA", "MAIN", 3).await;
    let order = server.post("/v1/orders", json!({"reservation_id": hold["id"]})).await.expect(201);
    assert_eq!((&order["lines"][0]["allocated"], &order["lines"][0]["backordered"]), (&json!(3), &json!(2)));
    assert_eq!(server.available("TEA").await, 0);
    server.assert_clean().await;
}
