//! Stock: adjustments, conditions, what is available and why.

use serde_json::{Value, json};

use crate::harness::{Server, each};

#[tokio::test]
async fn a_change_books_a_movement_and_changes_the_level() {
    let server = Server::start().await;
    server.shop(&[("TEA", 0)]).await;
    let body = json!({
        "sku": "TEA", "warehouse": "MAIN", "change": 20, "reason": "received", "note": "delivery 4711", "lot": "L1",
        "effective_at": "2024-02-29T12:00:00Z",
    });
    let booked = server.post("/v1/stock/adjustments", body).await.expect(201);
    let movement = &booked["movement"];
    assert_eq!(movement["quantity"], 20);
    assert_eq!(movement["from"], json!({"place": "supplier"}));
    assert_eq!(movement["to"], json!({"place": "good", "warehouse": "MAIN"}));
    assert_eq!(movement["note"], "delivery 4711");
    assert_eq!(movement["lot"], "L1");
    assert_eq!(movement["effective_at"], "2024-02-29T12:00:00.000Z");
    assert_eq!((&booked["level"]["on_hand"], &booked["level"]["available"]), (&json!(20), &json!(20)));

    let places = [
        ("opening_stock", 1, "supplier"),
        ("returned", 1, "customer"),
        ("found", 1, "adjustment"),
        ("recount", -1, "adjustment"),
        ("damaged", -1, "scrap"),
        ("expired", -1, "scrap"),
        ("lost", -1, "adjustment"),
        ("stolen", -1, "adjustment"),
        ("sample", -1, "adjustment"),
        ("correction", 1, "adjustment"),
        ("other", 1, "adjustment"),
    ];
    for (reason, change, place) in places {
        let body = json!({"sku": "TEA", "warehouse": "MAIN", "change": change, "reason": reason});
        let movement = server.post("/v1/stock/adjustments", body).await.expect(201)["movement"].clone();
        let (elsewhere, here) = if change > 0 { ("from", "to") } else { ("to", "from") };
        assert_eq!(movement[elsewhere], json!({"place": place}), "{reason}");
        assert_eq!(movement[here], json!({"place": "good", "warehouse": "MAIN"}), "{reason}");
        assert_eq!(movement["quantity"], 1, "{reason}");
    }
    assert_eq!(server.level("TEA", "MAIN").await["on_hand"], 19);
    server.assert_clean().await;
}

#[tokio::test]
async fn stock_is_set_only_by_who_knows_what_was_there() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let set = |set_to: i64, expected: i64| json!({"sku": "TEA", "warehouse": "MAIN", "set_to": set_to, "expected_on_hand": expected, "reason": "recount"});
    let stale = server.post("/v1/stock/adjustments", set(12, 9)).await.refused(409, "stale-quantity");
    assert_eq!((&stale["expected_on_hand"], &stale["on_hand"]), (&json!(9), &json!(10)));
    let booked = server.post("/v1/stock/adjustments", set(7, 10)).await.expect(201);
    assert_eq!((&booked["movement"]["quantity"], &booked["level"]["on_hand"]), (&json!(3), &json!(7)));
    let same = server.post("/v1/stock/adjustments", set(7, 7)).await.expect(201);
    assert_eq!(same["movement"], json!(null));
    assert_eq!(server.list("/v1/stock/movements").await.len(), 2);

    let adjust = |more: Value| {
        let mut body = json!({"sku": "TEA", "warehouse": "MAIN", "reason": "recount"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.request(reqwest::Method::POST, "/v1/stock/adjustments").json(&body)
    };
    for (more, fault) in [
        (json!({}), "/change required"),
        (json!({"set_to": 1}), "/expected_on_hand required"),
        (json!({"expected_on_hand": 1}), "/change required"),
        (json!({"change": 1, "set_to": 1}), "/set_to exclusive"),
        (json!({"change": 1, "expected_on_hand": 1}), "/expected_on_hand exclusive"),
        (json!({"change": 0}), "/change zero"),
        (json!({"change": 1, "effective_at": "2999-01-01T00:00:00Z"}), "/effective_at future"),
    ] {
        crate::harness::send(adjust(more)).await.invalid(&[fault]);
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn what_is_promised_cannot_be_taken_away() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    server.hold("TEA", 4, 900).await;
    server.order("TEA", 3).await;
    let take = |change: i64| json!({"sku": "TEA", "warehouse": "MAIN", "change": change, "reason": "lost"});
    let refused = server.post("/v1/stock/adjustments", take(-4)).await.refused(409, "insufficient-stock");
    assert_eq!((&refused["shortages"][0]["requested"], &refused["shortages"][0]["available"]), (&json!(4), &json!(3)));
    server.post("/v1/stock/adjustments", take(-3)).await.expect(201);
    let level = server.level("TEA", "MAIN").await;
    let quantities = ["on_hand", "reserved", "allocated", "available"].map(|of| level[of].as_i64().unwrap());
    assert_eq!(quantities, [7, 4, 3, 0]);
    server.assert_clean().await;
}

#[tokio::test]
async fn only_good_stock_is_for_sale() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let change = |quantity: i64, from: &str, to: &str| {
        let body =
            json!({"sku": "TEA", "warehouse": "MAIN", "quantity": quantity, "from": from, "to": to, "note": "torn"});
        server.request(reqwest::Method::POST, "/v1/stock/condition-changes").json(&body)
    };
    let booked = crate::harness::send(change(3, "good", "damaged")).await.expect(201);
    assert_eq!(booked["movement"]["from"], json!({"place": "good", "warehouse": "MAIN"}));
    assert_eq!(booked["movement"]["to"], json!({"place": "damaged", "warehouse": "MAIN"}));
    crate::harness::send(change(2, "good", "quality_control")).await.expect(201);
    let level = crate::harness::send(change(1, "quality_control", "quarantined")).await.expect(201)["level"].clone();
    assert_eq!(level["unavailable_by"], json!({"damaged": 3, "quality_control": 1, "quarantined": 1}));
    assert_eq!((&level["on_hand"], &level["unavailable"], &level["available"]), (&json!(10), &json!(5), &json!(5)));
    crate::harness::send(change(4, "damaged", "good")).await.refused(409, "insufficient-stock");
    crate::harness::send(change(6, "good", "damaged")).await.refused(409, "insufficient-stock");
    crate::harness::send(change(1, "good", "good")).await.invalid(&["/to same"]);

    // Adjustments may name a condition; `set_to` then counts that condition.
    let body = json!({"sku": "TEA", "warehouse": "MAIN", "change": -2, "reason": "damaged", "condition": "damaged"});
    assert_eq!(server.post("/v1/stock/adjustments", body).await.expect(201)["level"]["on_hand"], 8);
    let body = json!({"sku": "TEA", "warehouse": "MAIN", "set_to": 0, "expected_on_hand": 1, "reason": "recount", "condition": "damaged"});
    let level = server.post("/v1/stock/adjustments", body).await.expect(201)["level"].clone();
    assert_eq!((&level["on_hand"], &level["available"]), (&json!(7), &json!(5)));
    server
        .post("/v1/reservations", json!({"lines": [{"sku": "TEA", "quantity": 6}]}))
        .await
        .refused(409, "insufficient-stock");
    server.assert_clean().await;
}

#[tokio::test]
async fn safety_stock_is_kept_back() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let level = server.patch("/v1/stock/TEA/levels/MAIN", json!({"safety_stock": 4})).await.expect(200);
    assert_eq!((&level["safety_stock"], &level["available"]), (&json!(4), &json!(6)));
    let lines = |quantity: i64| json!({"lines": [{"sku": "TEA", "quantity": quantity}]});
    server.post("/v1/reservations", lines(7)).await.refused(409, "insufficient-stock");
    server.reserve(lines(6)).await;
    // More than there is: nothing is available, and never less than nothing.
    let level = server.patch("/v1/stock/TEA/levels/MAIN", json!({"safety_stock": 100})).await.expect(200);
    assert_eq!(level["available"], 0);
    let level = server.patch("/v1/stock/TEA/levels/MAIN", json!({"safety_stock": null})).await.expect(200);
    assert_eq!((&level["safety_stock"], &level["available"]), (&json!(0), &json!(4)));
    server.patch("/v1/stock/TEA/levels/MAIN", json!({"safety_stock": -1})).await.invalid(&["/safety_stock minimum"]);
    server.patch("/v1/stock/TEA/levels/NONE", json!({"safety_stock": 1})).await.refused(404, "not-found");
    server.patch("/v1/stock/NONE/levels/MAIN", json!({"safety_stock": 1})).await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn low_stock_is_told_once_when_it_becomes_low() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    server.patch("/v1/stock/TEA/levels/MAIN", json!({"reorder_point": 5})).await.expect(200);
    let state = || async { server.get("/v1/stock/TEA").await.expect(200)["state"].clone() };
    server.stock("TEA", "MAIN", -4).await;
    assert_eq!(state().await, "in_stock");
    server.hold("TEA", 1, 900).await;
    assert_eq!(state().await, "low_stock");
    server.stock("TEA", "MAIN", -1).await;
    server.stock("TEA", "MAIN", 10).await;
    server.stock("TEA", "MAIN", -14).await;
    assert_eq!(state().await, "out_of_stock");
    let low = server.events("stock.low").await;
    assert_eq!(low.len(), 2, "{low:?}");
    assert_eq!(low[0]["data"], json!({"sku": "TEA", "warehouse": "MAIN", "available": 5, "reorder_point": 5}));
    assert_eq!(low[1]["data"]["available"], 0);
    server.assert_clean().await;
}

#[tokio::test]
async fn states_follow_from_stock_and_policy() {
    let server = Server::start().await;
    server.shop(&[]).await;
    let product = |sku: &'static str, availability: Value| {
        let body = json!({"sku": sku, "name": sku, "availability": availability});
        server.request(reqwest::Method::POST, "/v1/products").json(&body)
    };
    let past = json!({"release_date": "2020-01-01", "limit": 5});
    let coming = json!({"release_date": "2999-01-01", "limit": 2});
    for (sku, availability) in [
        ("PLAIN", json!({})),
        ("BACK", json!({"backorder_limit": 2})),
        ("SOON", json!({"preorder": coming})),
        ("NEVER", json!({"preorder": {"release_date": "2999-01-01", "limit": 0}, "backorder_limit": 9})),
        ("OUT", json!({"preorder": past, "backorder_limit": 2})),
        ("GONE", json!({"discontinued": true, "backorder_limit": 2})),
    ] {
        crate::harness::send(product(sku, availability)).await.expect(201);
    }
    let states = || async {
        let skus = ["PLAIN", "BACK", "SOON", "NEVER", "OUT", "GONE"];
        let found = server.post("/v1/stock/query", json!({"skus": skus})).await.expect(200);
        each(found["items"].as_array().unwrap(), "state")
            .iter()
            .map(|s| s.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["out_of_stock", "backorder", "pre_order", "out_of_stock", "backorder", "discontinued"]);
    for sku in ["PLAIN", "BACK", "SOON", "OUT", "GONE"] {
        server.stock(sku, "MAIN", 1).await;
    }
    assert_eq!(states().await, ["in_stock", "in_stock", "pre_order", "out_of_stock", "in_stock", "in_stock"]);
    // Stock, and then all that may be promised beyond it.
    server.order("BACK", 3).await;
    server.order("SOON", 3).await;
    server.order("GONE", 1).await;
    let one = |sku: &str| json!({"lines": [{"sku": sku, "quantity": 1}]});
    for sku in ["BACK", "SOON", "GONE"] {
        server.post("/v1/orders", one(sku)).await.refused(409, "insufficient-stock");
    }
    assert_eq!(
        states().await,
        ["in_stock", "out_of_stock", "out_of_stock", "out_of_stock", "in_stock", "discontinued"]
    );
    let told = server.events("stock.state_changed").await;
    let last = |sku: &str| told.iter().rev().find(|e| e["data"]["sku"] == sku).unwrap()["data"]["after"].clone();
    assert_eq!(
        (last("BACK"), last("SOON"), last("GONE")),
        (json!("out_of_stock"), json!("out_of_stock"), json!("discontinued"))
    );
    server.assert_clean().await;
}

#[tokio::test]
async fn a_channel_sees_its_warehouses_less_its_buffers() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    server.warehouse("SMALL").await;
    server.warehouse("OTHER").await;
    server.stock("TEA", "SMALL", 2).await;
    server.stock("TEA", "OTHER", 100).await;
    server.channel("web", &[("MAIN", 3), ("SMALL", 5)]).await;
    let seen = server.get("/v1/stock/TEA?channel=web").await.expect(200);
    assert_eq!((&seen["on_hand"], &seen["available"]), (&json!(12), &json!(7)));
    assert_eq!(each(seen["warehouses"].as_array().unwrap(), "available"), [7, 0]);
    assert_eq!(server.available("TEA").await, 112);
    let sale = |quantity: i64| json!({"lines": [{"sku": "TEA", "quantity": quantity}], "channel": "web"});
    server.post("/v1/reservations", sale(8)).await.refused(409, "insufficient-stock");
    let held = server.reserve(sale(7)).await;
    assert_eq!(held["lines"][0]["allocations"], json!([{"warehouse": "MAIN", "quantity": 7}]));
    server.get("/v1/stock/TEA?channel=NONE").await.invalid(&["/query/channel unknown"]);
    server.post("/v1/stock/query", json!({"skus": ["TEA"], "channel": "NONE"})).await.invalid(&["/channel unknown"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn an_explanation_adds_up() {
    let server = Server::start().await;
    server.shop(&[("TEA", 20)]).await;
    server.channel("web", &[("MAIN", 2)]).await;
    let body = json!({"sku": "TEA", "warehouse": "MAIN", "quantity": 1, "from": "good", "to": "damaged"});
    server.post("/v1/stock/condition-changes", body).await.expect(201);
    server.patch("/v1/stock/TEA/levels/MAIN", json!({"safety_stock": 3})).await.expect(200);
    server.patch("/v1/products/TEA", json!({"availability": {"backorder_limit": 50}})).await.expect(200);
    let hold = server.hold("TEA", 4, 900).await;
    let order = server.order("TEA", 5).await;
    for channel in ["", "?channel=web"] {
        let explained = server.get(&format!("/v1/stock/TEA/explain{channel}")).await.expect(200);
        let stock = server.get(&format!("/v1/stock/TEA{channel}")).await.expect(200);
        let steps = explained["warehouses"][0]["steps"].as_array().unwrap();
        let sum: i64 = steps.iter().map(|step| step["quantity"].as_i64().unwrap()).sum();
        assert_eq!(explained["available"], sum, "{explained}");
        assert_eq!(explained["available"], stock["available"]);
        assert_eq!(explained["state"], stock["state"]);
        assert_eq!(explained["holds"][0]["reservation_id"], hold["id"]);
        assert_eq!(explained["allocations"][0]["order_id"], order["id"]);
    }
    let waiting = server.order("TEA", 10).await;
    let explained = server.get("/v1/stock/TEA/explain").await.expect(200);
    assert_eq!(explained["available"], 0);
    assert_eq!(explained["backorders"][0]["order_id"], waiting["id"]);
    assert_eq!(explained["backorders"][0]["quantity"], waiting["lines"][0]["backordered"]);
    server.get("/v1/stock/NONE/explain").await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn stock_in_an_inactive_warehouse_is_not_for_sale() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let held = server.hold("TEA", 2, 900).await;
    server.patch("/v1/warehouses/MAIN", json!({"active": false})).await.expect(200);
    let stock = server.get("/v1/stock/TEA").await.expect(200);
    assert_eq!(
        (&stock["on_hand"], &stock["available"], &stock["state"]),
        (&json!(5), &json!(0), &json!("out_of_stock"))
    );
    let line = |more: Value| json!({"lines": [more]});
    server.post("/v1/orders", line(json!({"sku": "TEA", "quantity": 1}))).await.refused(409, "insufficient-stock");
    let pinned = line(json!({"sku": "TEA", "quantity": 1, "warehouse": "MAIN"}));
    server.post("/v1/reservations", pinned.clone()).await.invalid(&["/lines/0/warehouse inactive"]);
    server.post("/v1/orders", pinned).await.invalid(&["/lines/0/warehouse inactive"]);
    // Stock can still be counted there, and what is promised stays promised.
    server.stock("TEA", "MAIN", 1).await;
    server.post("/v1/orders", json!({"reservation_id": held["id"]})).await.expect(201);
    server.patch("/v1/warehouses/MAIN", json!({"active": true})).await.expect(200);
    assert_eq!(server.available("TEA").await, 4);
    server.assert_clean().await;
}

#[tokio::test]
async fn many_products_are_read_at_once() {
    let server = Server::start().await;
    server.shop(&[("A", 1), ("B", 2), ("C", 3)]).await;
    let found = server.post("/v1/stock/query", json!({"skus": ["C", "NONE", "A"]})).await.expect(200);
    let items = found["items"].as_array().unwrap();
    assert_eq!(each(items, "sku"), ["C", "A"]);
    assert_eq!(items[0], server.get("/v1/stock/C").await.expect(200));
    server.assert_clean().await;
}

/// As in the news of its state: a reorder point of a warehouse that is closed says nothing of what is for sale.
#[tokio::test]
async fn the_reorder_point_of_an_inactive_warehouse_makes_no_stock_low() {
    let server = Server::start().await;
    server.shop(&[("TEA", 3)]).await;
    server.post("/v1/warehouses", json!({"code": "CLOSED", "name": "Closed", "active": false})).await.expect(201);
    server.patch("/v1/stock/TEA/levels/CLOSED", json!({"reorder_point": 5})).await.expect(200);
    assert_eq!(server.get("/v1/stock/TEA").await.expect(200)["state"], "in_stock");
    server.patch("/v1/stock/TEA/levels/MAIN", json!({"reorder_point": 3})).await.expect(200);
    assert_eq!(server.get("/v1/stock/TEA").await.expect(200)["state"], "low_stock");
    server.assert_clean().await;
}
