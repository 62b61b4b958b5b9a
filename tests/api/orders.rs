//! Orders: placing, shipping, cancelling, taking back.

use serde_json::{Value, json};

use crate::harness::{Answer, Server, each};

async fn act(server: &Server, order: &Value, action: &str, body: Value) -> Answer {
    server.post(&format!("/v1/orders/{}/{action}", order["id"].as_str().unwrap()), body).await
}

async fn read(server: &Server, order: &Value) -> Value {
    server.get(&format!("/v1/orders/{}", order["id"].as_str().unwrap())).await.expect(200)
}

fn statuses(order: &Value) -> [&str; 2] {
    ["status", "fulfilment_status"].map(|of| order[of].as_str().unwrap())
}

/// quantity, allocated, backordered, shipped, returned, cancelled of a line
fn line(order: &Value, n: usize) -> [i64; 6] {
    ["quantity", "allocated", "backordered", "shipped", "returned", "cancelled"]
        .map(|of| order["lines"][n][of].as_i64().unwrap())
}

#[tokio::test]
async fn an_order_from_lines_is_promised_stock() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let mug = json!({"sku": "MUG", "name": "Mug", "price": {"amount": 250, "currency": "EUR"}});
    server.post("/v1/products", mug).await.expect(201);
    server.stock("MUG", "MAIN", 5).await;
    let body = json!({
        "lines": [{"sku": "TEA", "quantity": 3, "unit_price": {"amount": 599, "currency": "EUR"}}, {"sku": "MUG", "quantity": 2}],
        "customer": {"name": "Ada", "email": "ada@example.com"}, "shipping_address": {"city": "Leeds", "country": "GB"},
        "reference": "WEB-1", "note": "ring twice", "placed_at": "2024-05-01T10:00:00Z",
    });
    let created = server.post("/v1/orders", body.clone()).await;
    let address = created.header("location").unwrap().to_owned();
    let order = created.expect(201);
    assert_eq!(address, format!("/v1/orders/{}", order["id"].as_str().unwrap()));
    assert_eq!(order["number"], 1001);
    assert_eq!(statuses(&order), ["placed", "unfulfilled"]);
    assert_eq!(order["payment_status"], "unpaid");
    for member in ["customer", "shipping_address", "reference", "note"] {
        assert_eq!(order[member], body[member], "{member}");
    }
    assert_eq!(order["placed_at"], "2024-05-01T10:00:00.000Z");
    assert_eq!(order["total"], json!({"amount": 3 * 599 + 2 * 250, "currency": "EUR"}));
    assert_eq!(line(&order, 0), [3, 3, 0, 0, 0, 0]);
    assert_eq!(order["lines"][0]["allocations"], json!([{"warehouse": "MAIN", "quantity": 3}]));
    assert_eq!(read(&server, &order).await, order);
    assert_eq!(server.get("/v1/orders/1001").await.expect(200), order);
    let level = server.level("TEA", "MAIN").await;
    let quantities = ["on_hand", "reserved", "allocated", "available"].map(|of| level[of].as_i64().unwrap());
    assert_eq!(quantities, [10, 0, 3, 7]);
    assert_eq!(server.events("order.placed").await[0]["data"]["id"], order["id"]);
    server.get("/v1/orders/1002").await.refused(404, "not-found");
    server.get("/v1/orders/none").await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn an_order_from_a_reservation_takes_what_it_holds() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    server.channel("web", &[("MAIN", 0)]).await;
    let lines = json!([{"sku": "TEA", "quantity": 2}, {"sku": "TEA", "quantity": 3}]);
    let held = server.reserve(json!({"lines": lines, "channel": "web"})).await;
    let other = json!({"reservation_id": held["id"], "channel": "till"});
    server.post("/v1/orders", other).await.invalid(&["/channel differs"]);
    let both = json!({"reservation_id": held["id"], "lines": lines});
    server.post("/v1/orders", both).await.invalid(&["/lines exclusive"]);
    server.post("/v1/orders", json!({})).await.invalid(&["/lines required"]);
    let future = json!({"reservation_id": held["id"], "placed_at": "2999-01-01T00:00:00Z"});
    server.post("/v1/orders", future).await.invalid(&["/placed_at future"]);

    let order = server.post("/v1/orders", json!({"reservation_id": held["id"]})).await.expect(201);
    assert_eq!(order["channel"], "web");
    assert_eq!(order["reservation_id"], held["id"]);
    assert_eq!((line(&order, 0), line(&order, 1)), ([2, 2, 0, 0, 0, 0], [3, 3, 0, 0, 0, 0]));
    let committed = server.get(&format!("/v1/reservations/{}", held["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&committed["status"], &committed["order_id"]), (&json!("committed"), &order["id"]));
    server.post("/v1/orders", json!({"reservation_id": held["id"]})).await.refused(409, "reservation-ended");
    let address = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
    server.delete(&address).await.refused(409, "reservation-ended");
    server.post(&format!("{address}/extend"), json!({"ttl_seconds": 60})).await.refused(409, "reservation-ended");
    let unknown = json!({"reservation_id": order["id"]});
    server.post("/v1/orders", unknown).await.invalid(&["/reservation_id unknown"]);
    assert_eq!(server.level("TEA", "MAIN").await["allocated"], 5);
    assert_eq!(server.events("reservation.committed").await.len(), 1);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_split_order_ships_from_each_warehouse_and_completes_when_all_has_arrived() {
    let server = Server::start().await;
    server.shop(&[("TEA", 3)]).await;
    server.warehouse("OTHER").await;
    server.stock("TEA", "OTHER", 4).await;
    let order = server.order("TEA", 6).await;
    let parts = order["lines"][0]["allocations"].as_array().unwrap();
    let of = |code: &str| parts.iter().find(|p| p["warehouse"] == code).map_or(0, |p| p["quantity"].as_i64().unwrap());
    assert_eq!(of("MAIN") + of("OTHER"), 6);

    let body = json!({"warehouse": "MAIN", "carrier": "Royal Mail", "tracking_number": "RM1", "shipped_at": "2024-06-01T00:00:00Z"});
    let first = act(&server, &order, "shipments", body).await.expect(201);
    assert_eq!(first["status"], "shipped");
    assert_eq!(first["carrier"], "Royal Mail");
    assert_eq!(first["shipped_at"], "2024-06-01T00:00:00.000Z");
    assert_eq!(first["lines"][0]["quantity"], of("MAIN"));
    let now = read(&server, &order).await;
    assert_eq!(statuses(&now), ["placed", "partially_fulfilled"]);
    assert_eq!(line(&now, 0), [6, of("OTHER"), 0, of("MAIN"), 0, 0]);
    assert_eq!(now["shipments"], json!([first]));
    act(&server, &order, "shipments", json!({"warehouse": "MAIN"})).await.refused(409, "invalid-state");

    // Part of the rest, then too much, then the rest.
    let some = |quantity: i64| json!({"warehouse": "OTHER", "lines": [{"sku": "TEA", "quantity": quantity}]});
    let second = act(&server, &order, "shipments", some(1)).await.expect(201);
    let refused = act(&server, &order, "shipments", some(of("OTHER"))).await.refused(409, "invalid-state");
    assert_eq!(refused["errors"][0]["pointer"], "/lines/0/quantity");
    let wrong = json!({"warehouse": "OTHER", "lines": [{"sku": "MUG", "quantity": 1}]});
    act(&server, &order, "shipments", wrong).await.refused(409, "invalid-state");
    let third = act(&server, &order, "shipments", json!({"warehouse": "OTHER"})).await.expect(201);
    assert_eq!(statuses(&read(&server, &order).await), ["placed", "fulfilled"]);
    act(&server, &order, "cancel", json!({})).await.refused(409, "invalid-state");

    let levels = [server.level("TEA", "MAIN").await, server.level("TEA", "OTHER").await];
    assert_eq!(levels.map(|l| l["allocated"].as_i64().unwrap()), [0, 0]);
    assert_eq!(server.get("/v1/stock/TEA").await.expect(200)["on_hand"], 1);
    let booked = server.list("/v1/stock/movements?reason=shipped").await;
    assert_eq!(booked[2]["reference"], json!({"type": "shipment", "id": first["id"]}));
    assert_eq!(booked[2]["effective_at"], "2024-06-01T00:00:00.000Z");

    for (n, shipment) in [&first, &second, &third].into_iter().enumerate() {
        let deliver = format!("shipments/{}/deliver", shipment["id"].as_str().unwrap());
        let delivered = act(&server, &order, &deliver, json!({})).await.expect(200);
        assert_eq!(delivered["status"], "delivered");
        assert_eq!(act(&server, &order, &deliver, json!({})).await.expect(200), delivered);
        let expected = if n == 2 { "completed" } else { "placed" };
        assert_eq!(read(&server, &order).await["status"], expected);
    }
    let nowhere = format!("shipments/{}/deliver", order["id"].as_str().unwrap());
    act(&server, &order, &nowhere, json!({})).await.refused(404, "not-found");
    let told = server.events("shipment.created,shipment.shipped,shipment.delivered,order.completed").await;
    assert_eq!(told.len(), 10);
    assert_eq!(each(&told, "type").iter().filter(|t| **t == "order.completed").count(), 1);
    server.assert_clean().await;
}

#[tokio::test]
async fn cancelling_gives_back_what_is_not_shipped() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let order = server.order("TEA", 4).await;
    let cancelled = act(&server, &order, "cancel", json!({"reason": "changed my mind"})).await.expect(200);
    assert_eq!(statuses(&cancelled), ["cancelled", "unfulfilled"]);
    assert_eq!(cancelled["cancel_reason"], "changed my mind");
    assert_eq!(line(&cancelled, 0), [4, 0, 0, 0, 0, 4]);
    assert_eq!(act(&server, &order, "cancel", json!({})).await.expect(200), cancelled);
    assert_eq!(server.available("TEA").await, 10);
    act(&server, &order, "shipments", json!({"warehouse": "MAIN"})).await.refused(409, "invalid-state");

    // Part of it is on its way already.
    let order = server.order("TEA", 4).await;
    let one = json!({"warehouse": "MAIN", "lines": [{"sku": "TEA", "quantity": 1}]});
    let shipment = act(&server, &order, "shipments", one).await.expect(201);
    let rest = act(&server, &order, "cancel", json!({})).await.expect(200);
    assert_eq!(line(&rest, 0), [4, 0, 0, 1, 0, 3]);
    assert_eq!(statuses(&rest), ["placed", "fulfilled"]);
    assert_eq!(server.available("TEA").await, 9);
    let deliver = format!("shipments/{}/deliver", shipment["id"].as_str().unwrap());
    act(&server, &order, &deliver, json!({})).await.expect(200);
    assert_eq!(read(&server, &order).await["status"], "completed");
    assert_eq!(server.events("order.cancelled").await.len(), 2);
    server.assert_clean().await;
}

#[tokio::test]
async fn goods_come_back_as_their_disposition_says() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let order = server.order("TEA", 6).await;
    let back = |quantity: i64, disposition: &str, warehouse: &str| json!({"sku": "TEA", "quantity": quantity, "disposition": disposition, "warehouse": warehouse});
    let early = json!({"lines": [back(1, "restock", "MAIN")]});
    act(&server, &order, "returns", early).await.refused(409, "invalid-state");
    act(&server, &order, "shipments", json!({"warehouse": "MAIN"})).await.expect(201);

    let lines = json!([back(1, "restock", "MAIN"), back(2, "quarantine", "MAIN"), back(1, "scrap", "MAIN")]);
    let returned = act(&server, &order, "returns", json!({"lines": lines, "reason": "too strong"})).await.expect(201);
    assert_eq!(each(returned["lines"].as_array().unwrap(), "disposition"), ["restock", "quarantine", "scrap"]);
    let level = server.level("TEA", "MAIN").await;
    assert_eq!(
        (&level["on_hand"], &level["unavailable_by"]["quarantined"], &level["available"]),
        (&json!(7), &json!(2), &json!(5))
    );
    let now = read(&server, &order).await;
    assert_eq!(line(&now, 0), [6, 0, 0, 6, 4, 0]);
    assert_eq!(statuses(&now), ["placed", "fulfilled"]);
    assert_eq!(now["returns"], json!([returned]));
    let mut places: Vec<String> = Vec::new();
    for movement in server.list("/v1/stock/movements?reason=returned").await {
        assert_eq!(movement["from"], json!({"place": "customer"}));
        places.push(format!("{} {}", movement["quantity"], movement["to"]["place"].as_str().unwrap()));
    }
    places.sort();
    assert_eq!(places, ["1 good", "1 scrap", "2 quarantined"]);

    let too_many = json!({"lines": [back(2, "restock", "MAIN"), back(1, "restock", "MAIN")]});
    let refused = act(&server, &order, "returns", too_many).await.refused(409, "invalid-state");
    assert_eq!(refused["errors"][0]["pointer"], "/lines/1/quantity");
    let nowhere = json!({"lines": [back(1, "restock", "NONE")]});
    act(&server, &order, "returns", nowhere).await.invalid(&["/lines/0/warehouse unknown"]);
    let all = json!({"lines": [back(2, "restock", "MAIN")], "received_at": "2024-07-01T00:00:00Z"});
    assert_eq!(act(&server, &order, "returns", all).await.expect(201)["received_at"], "2024-07-01T00:00:00.000Z");
    assert_eq!(statuses(&read(&server, &order).await)[1], "returned");
    assert_eq!(server.events("return.received").await.len(), 2);
    server.assert_clean().await;
}

#[tokio::test]
async fn orders_are_listed_newest_first_and_filtered() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10), ("MUG", 10)]).await;
    server.channel("web", &[("MAIN", 0)]).await;
    let mut orders = Vec::new();
    for (sku, channel, reference) in [("TEA", "web", "R-1"), ("MUG", "web", "R-2"), ("TEA", "", "R-1")] {
        let mut body = json!({"lines": [{"sku": sku, "quantity": 1}], "reference": reference});
        if !channel.is_empty() {
            body["channel"] = json!(channel);
        }
        orders.push(server.post("/v1/orders", body).await.expect(201));
    }
    act(&server, &orders[0], "cancel", json!({})).await.expect(200);
    act(&server, &orders[1], "shipments", json!({"warehouse": "MAIN"})).await.expect(201);
    for (query, expected) in [
        ("limit=1", vec![2, 1, 0]),
        ("status=placed", vec![2, 1]),
        ("status=cancelled", vec![0]),
        ("fulfilment_status=fulfilled", vec![1]),
        ("channel=web", vec![1, 0]),
        ("reference=R-1", vec![2, 0]),
        ("sku=TEA", vec![2, 0]),
        ("sku=TEA&reference=R-1&status=placed", vec![2]),
        ("reference=none", vec![]),
    ] {
        let found = server.list(&format!("/v1/orders?{query}")).await;
        let expected: Vec<&Value> = expected.iter().map(|n: &usize| &orders[*n]["number"]).collect();
        assert_eq!(each(&found, "number"), expected, "{query}");
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn a_total_is_told_when_there_is_one() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let priced = |amount: i64, currency: &str| json!({"sku": "TEA", "quantity": 1, "unit_price": {"amount": amount, "currency": currency}});
    for (lines, total) in [
        (json!([priced(5, "EUR"), priced(7, "EUR")]), json!({"amount": 12, "currency": "EUR"})),
        (json!([priced(5, "EUR"), priced(7, "GBP")]), json!(null)),
        (json!([priced(5, "EUR"), {"sku": "TEA", "quantity": 1}]), json!(null)),
    ] {
        assert_eq!(server.post("/v1/orders", json!({"lines": lines})).await.expect(201)["total"], total);
    }
    server.assert_clean().await;
}
