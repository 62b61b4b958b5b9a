//! Which warehouses serve a sale.

use serde_json::{Value, json};

use crate::harness::Server;

/// Three warehouses: NORTH and SOUTH are on the map, HOME is known by its country alone.
async fn three_warehouses() -> Server {
    let server = Server::start().await;
    for (code, priority, address) in [
        ("NORTH", 30, json!({"country": "NO", "latitude": 60.0, "longitude": 10.0})),
        ("SOUTH", 20, json!({"country": "IT", "latitude": 42.0, "longitude": 12.0})),
        ("HOME", 10, json!({"country": "GB"})),
    ] {
        let body = json!({"code": code, "name": code, "priority": priority, "address": address});
        server.post("/v1/warehouses", body).await.expect(201);
    }
    for sku in ["TEA", "MUG"] {
        server.product(sku).await;
    }
    server
}

async fn rules(server: &Server, rules: &[&str]) {
    server.put("/v1/sourcing", json!({"rules": rules})).await.expect(200);
}

/// Where the lines of a reservation come from: "MAIN 2 + OTHER 1" each. What it held is given back.
async fn sources(server: &Server, body: Value) -> Vec<String> {
    let held = server.reserve(body).await;
    server.delete(&format!("/v1/reservations/{}", held["id"].as_str().unwrap())).await.expect(204);
    let parts = |line: &Value| {
        let parts = line["allocations"].as_array().unwrap().iter();
        let parts = parts.map(|part| format!("{} {}", part["warehouse"].as_str().unwrap(), part["quantity"]));
        parts.collect::<Vec<_>>().join(" + ")
    };
    held["lines"].as_array().unwrap().iter().map(parts).collect()
}

fn tea(quantity: i64) -> Value {
    json!({"lines": [{"sku": "TEA", "quantity": quantity}]})
}

#[tokio::test]
async fn warehouse_priority_takes_the_lowest_number_first() {
    let server = three_warehouses().await;
    for code in ["NORTH", "SOUTH", "HOME"] {
        server.stock("TEA", code, 5).await;
    }
    rules(&server, &["warehouse_priority"]).await;
    assert_eq!(sources(&server, tea(3)).await, ["HOME 3"]);
    assert_eq!(sources(&server, tea(12)).await, ["HOME 5 + SOUTH 5 + NORTH 2"]);
    server.patch("/v1/warehouses/NORTH", json!({"priority": 1})).await.expect(200);
    assert_eq!(sources(&server, tea(3)).await, ["NORTH 3"]);
    server.patch("/v1/warehouses/NORTH", json!({"active": false})).await.expect(200);
    assert_eq!(sources(&server, tea(3)).await, ["HOME 3"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn most_stock_takes_the_fullest_first() {
    let server = three_warehouses().await;
    for (code, quantity) in [("NORTH", 5), ("SOUTH", 9), ("HOME", 7)] {
        server.stock("TEA", code, quantity).await;
    }
    rules(&server, &["most_stock"]).await;
    assert_eq!(sources(&server, tea(1)).await, ["SOUTH 1"]);
    assert_eq!(sources(&server, tea(17)).await, ["SOUTH 9 + HOME 7 + NORTH 1"]);
    // What counts is what is available.
    server.patch("/v1/stock/TEA/levels/SOUTH", json!({"safety_stock": 5})).await.expect(200);
    assert_eq!(sources(&server, tea(1)).await, ["HOME 1"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn nearest_goes_by_distance_then_by_country() {
    let server = three_warehouses().await;
    for code in ["NORTH", "SOUTH", "HOME"] {
        server.stock("TEA", code, 5).await;
    }
    rules(&server, &["nearest"]).await;
    let to = |quantity: i64, place: Value| json!({"lines": [{"sku": "TEA", "quantity": quantity}], "ship_to": place});
    assert_eq!(sources(&server, to(1, json!({"latitude": 59.0, "longitude": 11.0}))).await, ["NORTH 1"]);
    assert_eq!(sources(&server, to(1, json!({"latitude": 43.0, "longitude": 11.0}))).await, ["SOUTH 1"]);
    assert_eq!(sources(&server, to(1, json!({"country": "GB"}))).await, ["HOME 1"]);
    let far = json!({"latitude": 43.0, "longitude": 11.0, "country": "GB"});
    assert_eq!(sources(&server, to(12, far)).await, ["SOUTH 5 + NORTH 5 + HOME 2"]);

    // Orders go by their shipping address.
    let body = json!({
        "lines": [{"sku": "TEA", "quantity": 1}],
        "shipping_address": {"line1": "Quay 1", "country": "NO", "latitude": 59.0, "longitude": 11.0},
    });
    let order = server.post("/v1/orders", body).await.expect(201);
    assert_eq!(order["lines"][0]["allocations"], json!([{"warehouse": "NORTH", "quantity": 1}]));
    server.assert_clean().await;
}

#[tokio::test]
async fn fewest_shipments_looks_at_all_lines_together() {
    let server = three_warehouses().await;
    for (sku, code, quantity) in [("TEA", "HOME", 5), ("MUG", "SOUTH", 5), ("TEA", "NORTH", 3), ("MUG", "NORTH", 3)] {
        server.stock(sku, code, quantity).await;
    }
    let both =
        |tea: i64, mug: i64| json!({"lines": [{"sku": "TEA", "quantity": tea}, {"sku": "MUG", "quantity": mug}]});
    rules(&server, &["fewest_shipments", "warehouse_priority"]).await;
    assert_eq!(sources(&server, both(3, 3)).await, ["NORTH 3", "NORTH 3"]);
    assert_eq!(sources(&server, both(4, 4)).await, ["HOME 4", "SOUTH 4"]);
    // A rule before it outweighs it.
    rules(&server, &["warehouse_priority", "fewest_shipments"]).await;
    assert_eq!(sources(&server, both(3, 3)).await, ["HOME 3", "SOUTH 3"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_channel_orders_its_warehouses_and_may_have_rules_of_its_own() {
    let server = three_warehouses().await;
    for (code, quantity) in [("NORTH", 5), ("SOUTH", 9), ("HOME", 7)] {
        server.stock("TEA", code, quantity).await;
    }
    server.channel("web", &[("NORTH", 2), ("SOUTH", 0)]).await;
    rules(&server, &["channel_order"]).await;
    let sale = |quantity: i64| json!({"lines": [{"sku": "TEA", "quantity": quantity}], "channel": "web"});
    assert_eq!(sources(&server, sale(2)).await, ["NORTH 2"]);
    assert_eq!(sources(&server, sale(12)).await, ["NORTH 3 + SOUTH 9"]);
    server.post("/v1/reservations", sale(13)).await.refused(409, "insufficient-stock");
    server.patch("/v1/channels/web", json!({"sourcing": ["most_stock"]})).await.expect(200);
    assert_eq!(sources(&server, sale(2)).await, ["SOUTH 2"]);
    // Others keep the default.
    server.channel("till", &[("HOME", 0), ("SOUTH", 0)]).await;
    let till = json!({"lines": [{"sku": "TEA", "quantity": 1}], "channel": "till"});
    assert_eq!(sources(&server, till).await, ["HOME 1"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_pinned_line_is_served_from_its_warehouse_alone() {
    let server = three_warehouses().await;
    for code in ["NORTH", "SOUTH"] {
        server.stock("TEA", code, 5).await;
    }
    server.channel("web", &[("NORTH", 0)]).await;
    rules(&server, &["warehouse_priority"]).await;
    let pinned = |quantity: i64, code: &str| json!({"sku": "TEA", "quantity": quantity, "warehouse": code});
    assert_eq!(sources(&server, json!({"lines": [pinned(5, "NORTH")]})).await, ["NORTH 5"]);
    // The others go elsewhere, whatever their order.
    let lines = json!({"lines": [{"sku": "TEA", "quantity": 5}, pinned(5, "SOUTH")]});
    assert_eq!(sources(&server, lines).await, ["NORTH 5", "SOUTH 5"]);
    for (body, fault) in [
        (json!({"lines": [pinned(1, "NONE")]}), "/lines/0/warehouse unknown"),
        (json!({"lines": [pinned(1, "SOUTH")], "channel": "web"}), "/lines/0/warehouse not_linked"),
    ] {
        server.post("/v1/reservations", body.clone()).await.invalid(&[fault]);
        server.post("/v1/orders", body).await.invalid(&[fault]);
    }
    let short = json!({"lines": [pinned(6, "NORTH")]});
    server.post("/v1/reservations", short).await.refused(409, "insufficient-stock");
    server.assert_clean().await;
}

#[tokio::test]
async fn two_lines_of_one_product_share_no_units() {
    let server = three_warehouses().await;
    for code in ["NORTH", "SOUTH"] {
        server.stock("TEA", code, 3).await;
    }
    rules(&server, &["warehouse_priority"]).await;
    let lines = |a: i64, b: i64| json!({"lines": [{"sku": "TEA", "quantity": a}, {"sku": "TEA", "quantity": b}]});
    assert_eq!(sources(&server, lines(2, 2)).await, ["SOUTH 2", "SOUTH 1 + NORTH 1"]);
    let short = server.post("/v1/orders", lines(4, 3)).await.refused(409, "insufficient-stock");
    assert_eq!(short["shortages"][0]["requested"], 7);
    assert_eq!(short["shortages"][0]["available"], 6);
    server.assert_clean().await;
}
