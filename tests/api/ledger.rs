//! The ledger, adjusting in batches, and the self-check that holds levels and ledger together.

use serde_json::{Value, json};

use crate::harness::{Server, each, eventually, faults};

#[tokio::test]
async fn the_ledger_is_listed_newest_first_and_filtered() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5), ("MUG", 6)]).await;
    server.warehouse("OTHER").await;
    server.stock("TEA", "OTHER", 7).await;
    let lost = json!({"sku": "TEA", "warehouse": "MAIN", "change": -1, "reason": "lost"});
    let last = server.post("/v1/stock/adjustments", lost).await.expect(201)["movement"].clone();
    let quantities = |query: &'static str| {
        let server = &server;
        async move {
            let rows = server.list(&format!("/v1/stock/movements?{query}")).await;
            rows.iter().map(|row| row["quantity"].as_i64().unwrap()).collect::<Vec<_>>()
        }
    };
    assert_eq!(quantities("").await, [1, 7, 6, 5]);
    assert_eq!(quantities("limit=1").await, [1, 7, 6, 5]);
    assert_eq!(quantities("sku=TEA").await, [1, 7, 5]);
    assert_eq!(quantities("warehouse=MAIN").await, [1, 6, 5]);
    assert_eq!(quantities("reason=received").await, [7, 6, 5]);
    assert_eq!(quantities("sku=TEA&warehouse=MAIN&reason=received").await, [5]);
    assert_eq!(quantities("to=2000-01-01T00:00:00Z").await, [0i64; 0]);
    assert_eq!(quantities("from=2000-01-01T00:00:00Z").await, [1, 7, 6, 5]);
    assert_eq!(server.list("/v1/stock/movements").await[0], last);
    server.get("/v1/stock/movements?from=yesterday").await.invalid(&["/query/from format"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn pages_are_stable_while_the_ledger_grows() {
    let server = Server::start().await;
    server.shop(&[("TEA", 0)]).await;
    for quantity in 1..=9 {
        server.stock("TEA", "MAIN", quantity).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/v1/stock/movements?limit=2{cursor}")).await.expect(200);
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|row| row["quantity"].as_i64().unwrap()));
        server.stock("TEA", "MAIN", 100).await;
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    server.assert_clean().await;
}

#[tokio::test]
async fn each_adjustment_of_a_batch_is_answered_on_its_own() {
    let server = Server::start().await;
    server.shop(&[("A", 5), ("B", 5)]).await;
    let item = |sku: &str, change: i64| json!({"sku": sku, "warehouse": "MAIN", "change": change, "reason": "recount"});
    let set = json!({"sku": "B", "warehouse": "MAIN", "set_to": 9, "expected_on_hand": 5, "reason": "recount"});
    let items = [item("A", -3), item("A", -3), item("NONE", 1), set.clone(), set, item("A", 1)];
    let answer = server.post("/v1/stock/adjustments/batch", json!({"items": items})).await.expect(200);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(each(results, "status"), [201, 409, 422, 201, 409, 201]);
    assert_eq!(results[1]["problem"]["type"], "/problems/insufficient-stock");
    assert_eq!(faults(&results[2]["problem"]), ["/items/2/sku unknown"]);
    assert_eq!(results[4]["problem"]["type"], "/problems/stale-quantity");
    assert_eq!(results[0]["body"]["movement"]["quantity"], 3);
    assert_eq!(server.level("A", "MAIN").await["on_hand"], 3);
    assert_eq!(server.level("B", "MAIN").await["on_hand"], 9);
    server.assert_clean().await;
}

#[tokio::test]
async fn quantities_stay_below_their_bound() {
    let server = Server::start().await;
    server.shop(&[("TEA", 0)]).await;
    let most = 1_000_000_000_000i64;
    let item = json!({"sku": "TEA", "warehouse": "MAIN", "change": most, "reason": "received"});
    let answer =
        server.post("/v1/stock/adjustments/batch", json!({"items": vec![item.clone(); 1000]})).await.expect(200);
    assert!(each(answer["results"].as_array().unwrap(), "status").iter().all(|status| **status == 201));
    server.post("/v1/stock/adjustments", item).await.refused(409, "invalid-state");
    assert_eq!(server.available("TEA").await, 1000 * most);
    let lines = vec![json!({"sku": "TEA", "quantity": most}); 1000];
    server.reserve(json!({"lines": lines})).await;
    assert_eq!(server.available("TEA").await, 0);
    server.post("/v1/orders", json!({"lines": lines})).await.refused(409, "insufficient-stock");
    server.assert_clean().await;
}

#[tokio::test]
async fn the_ledger_cannot_be_rewritten() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    for sql in [
        "UPDATE inventory.movements SET quantity = 6",
        "DELETE FROM inventory.movements",
        "TRUNCATE inventory.movements",
    ] {
        let refused = server.sql(sql).await.expect_err(sql).to_string();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    let oversold = "UPDATE inventory.levels SET reserved = 6";
    let refused = server.sql(oversold).await.expect_err(oversold).to_string();
    assert!(refused.contains("levels_not_oversold"), "{refused}");
    server.assert_clean().await;
}

/// A shop in which everything is in use, so that there is something to break.
async fn busy_shop() -> Server {
    let server = Server::start().await;
    server.shop(&[("TEA", 20)]).await;
    server.warehouse("OTHER").await;
    server.backorderable("MUG", 9).await;
    server.hold("TEA", 2, 900).await;
    server.hold("MUG", 1, 900).await;
    server.order("TEA", 3).await;
    server.order("MUG", 2).await;
    let body = json!({"from": "MAIN", "to": "OTHER", "lines": [{"sku": "TEA", "quantity": 4}]});
    let transfer = server.post("/v1/transfers", body).await.expect(201);
    server.post(&format!("/v1/transfers/{}/ship", transfer["id"].as_str().unwrap()), json!({})).await.expect(200);
    server.assert_clean().await;
    server
}

#[tokio::test]
async fn the_self_check_names_what_is_wrong() {
    let server = busy_shop().await;
    for (breakage, mending, check, subject, expected, found) in [
        (
            "levels SET on_hand = on_hand + 1",
            "levels SET on_hand = on_hand - 1",
            "level_equals_ledger",
            "TEA @ MAIN (good)",
            16,
            17,
        ),
        ("levels SET reserved = 3", "levels SET reserved = 2", "reserved_equals_holds", "TEA @ MAIN", 2, 3),
        ("levels SET allocated = 4", "levels SET allocated = 3", "allocated_equals_allocations", "TEA @ MAIN", 3, 4),
        (
            "products SET backordered_held = 5",
            "products SET backordered_held = 1",
            "backordered_equals_holds",
            "MUG",
            1,
            5,
        ),
        (
            "products SET backordered_ordered = 7",
            "products SET backordered_ordered = 2",
            "backordered_equals_queue",
            "MUG",
            2,
            7,
        ),
    ] {
        let sku = subject.split(' ').next().unwrap();
        let place = if subject.contains('@') { " AND warehouse = 'MAIN'" } else { "" };
        let update = |change: &str| format!("UPDATE inventory.{change} WHERE sku = '{sku}'{place}");
        assert_eq!(server.sql(&update(breakage)).await.unwrap(), 1, "{breakage}");
        let report = server.get("/v1/self-check").await.expect(200);
        assert_eq!(report["ok"], false);
        let difference = json!({"check": check, "subject": subject, "expected": expected, "found": found});
        assert_eq!(report["differences"], json!([difference]), "{breakage}");
        server.sql(&update(mending)).await.unwrap();
        server.assert_clean().await;
    }
    let checks = |report: Value| {
        let mut names: Vec<String> =
            report["differences"].as_array().unwrap().iter().map(|d| d["check"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.dedup();
        names
    };
    for (breakage, expected) in [
        ("UPDATE inventory.levels SET incoming = 5 WHERE warehouse = 'OTHER'", vec!["incoming_equals_transfers"]),
        ("UPDATE transfers.lines SET shipped = 3", vec!["in_transit_equals_transfers", "incoming_equals_transfers"]),
        ("UPDATE orders.lines SET cancelled = 1 WHERE sku = 'TEA'", vec!["claims_equal_open_order_lines"]),
        (
            "UPDATE inventory.holds SET quantity = quantity + 1 WHERE warehouse <> ''",
            vec!["holds_equal_reservations", "reserved_equals_holds"],
        ),
    ] {
        let server = busy_shop().await;
        server.sql(breakage).await.unwrap();
        assert_eq!(checks(server.get("/v1/self-check").await.expect(200)), expected, "{breakage}");
    }
}

#[tokio::test]
async fn a_repair_believes_the_count_and_books_it() {
    let server = busy_shop().await;
    server.sql("UPDATE inventory.levels SET on_hand = on_hand + 5, damaged = 2, reserved = 0, allocated = 9 WHERE warehouse = 'MAIN'").await.unwrap();
    server
        .sql("UPDATE inventory.products SET backordered_held = 8, backordered_ordered = 0 WHERE sku = 'MUG'")
        .await
        .unwrap();
    let mut tx = server.app.db.begin().await.unwrap();
    let done = server.app.inventory.repair_in_tx(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(done.len(), 4, "{done:?}");
    server.assert_clean().await;
    let level = server.level("TEA", "MAIN").await;
    let quantities = ["on_hand", "unavailable", "reserved", "allocated"].map(|of| level[of].as_i64().unwrap());
    assert_eq!(quantities, [21, 2, 2, 3]);
    let booked = server.list("/v1/stock/movements?reason=repair").await;
    let mut booked: Vec<String> =
        booked.iter().map(|m| format!("{} {} -> {}", m["quantity"], m["from"]["place"], m["to"]["place"])).collect();
    booked.sort();
    assert_eq!(booked, [r#"2 "adjustment" -> "damaged""#, r#"3 "adjustment" -> "good""#]);
    let mut tx = server.app.db.begin().await.unwrap();
    assert!(server.app.inventory.repair_in_tx(&mut tx).await.unwrap().is_empty());
}

/// A check that begins before a hold expires may see the books as they are after a sale gave it up.
#[tokio::test]
async fn the_self_check_is_not_fooled_by_what_expires_meanwhile() {
    let server = Server::without_sweeper().await;
    server.shop(&[("TEA", 1)]).await;
    let held = server.hold("TEA", 1, 1).await;
    // A transaction sees what was committed before its first statement, not before its beginning.
    let mut snapshot = server.app.db.snapshot().await.unwrap();
    let path = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
    eventually("the hold expires", || async { server.get(&path).await.json["status"] == "expired" }).await;
    server.order("TEA", 1).await;
    let (at, holds) = server.app.reservations.held(&mut snapshot).await.unwrap();
    assert_eq!(server.app.inventory.self_check_holds(&mut snapshot, at, &holds).await.unwrap(), []);
    server.assert_clean().await;
}
