//! Transfers: goods between warehouses.

use serde_json::{Value, json};

use crate::harness::{Answer, Server, each};

async fn two_warehouses() -> Server {
    let server = Server::start().await;
    server.shop(&[("TEA", 10), ("MUG", 5)]).await;
    server.warehouse("LEEDS").await;
    server
}

async fn draft(server: &Server, lines: Value) -> Value {
    let body = json!({"from": "MAIN", "to": "LEEDS", "lines": lines, "reference": "TR-1", "note": "by van"});
    server.post("/v1/transfers", body).await.expect(201)
}

async fn act(server: &Server, transfer: &Value, action: &str, body: Value) -> Answer {
    server.post(&format!("/v1/transfers/{}/{action}", transfer["id"].as_str().unwrap()), body).await
}

#[tokio::test]
async fn goods_are_in_neither_warehouse_while_they_travel() {
    let server = two_warehouses().await;
    let transfer = draft(&server, json!([{"sku": "TEA", "quantity": 6}, {"sku": "MUG", "quantity": 5}])).await;
    assert_eq!(transfer["status"], "draft");
    assert_eq!((&transfer["reference"], &transfer["note"]), (&json!("TR-1"), &json!("by van")));
    assert_eq!(server.available("TEA").await, 10);
    let address = format!("/v1/transfers/{}", transfer["id"].as_str().unwrap());
    assert_eq!(server.get(&address).await.expect(200), transfer);

    let shipped = act(&server, &transfer, "ship", json!({})).await.expect(200);
    assert_eq!(shipped["status"], "in_transit");
    assert_eq!(each(shipped["lines"].as_array().unwrap(), "shipped"), [6, 5]);
    let quantities = |level: Value| ["on_hand", "incoming", "available"].map(|of| level[of].as_i64().unwrap());
    assert_eq!(quantities(server.level("TEA", "MAIN").await), [4, 0, 4]);
    assert_eq!(quantities(server.level("TEA", "LEEDS").await), [0, 6, 0]);
    act(&server, &transfer, "ship", json!({})).await.refused(409, "invalid-state");
    act(&server, &transfer, "cancel", json!({})).await.refused(409, "invalid-state");
    server.delete("/v1/warehouses/LEEDS").await.refused(409, "in-use");

    let part = json!({"lines": [{"sku": "TEA", "quantity": 3}, {"sku": "TEA", "quantity": 1, "condition": "damaged"}]});
    let partly = act(&server, &transfer, "receipts", part).await.expect(201);
    assert_eq!(partly["status"], "in_transit");
    assert_eq!(each(partly["lines"].as_array().unwrap(), "received"), [4, 0]);
    assert_eq!(quantities(server.level("TEA", "LEEDS").await), [4, 2, 3]);
    let rest = act(&server, &transfer, "receipts", json!({})).await.expect(201);
    assert_eq!(rest["status"], "received");
    assert_ne!(rest["closed_at"], json!(null));
    assert_eq!(quantities(server.level("TEA", "LEEDS").await), [6, 0, 5]);
    act(&server, &transfer, "receipts", json!({})).await.refused(409, "invalid-state");

    let moved = server.list("/v1/stock/movements?reason=transfer&sku=MUG").await;
    assert_eq!(moved[0]["from"], json!({"place": "in_transit"}));
    assert_eq!(moved[1]["to"], json!({"place": "in_transit"}));
    assert_eq!(moved[0]["reference"], json!({"type": "transfer", "id": transfer["id"]}));
    let told = server.events("transfer.shipped,transfer.received").await;
    assert_eq!(each(&told, "type"), ["transfer.shipped", "transfer.received", "transfer.received"]);
    assert_eq!((&told[1]["data"]["closed"], &told[2]["data"]["closed"]), (&json!(false), &json!(true)));
    server.assert_clean().await;
}

#[tokio::test]
async fn what_never_arrives_is_written_off() {
    let server = two_warehouses().await;
    let transfer = draft(&server, json!([{"sku": "TEA", "quantity": 6}, {"sku": "MUG", "quantity": 2}])).await;
    act(&server, &transfer, "ship", json!({})).await.expect(200);
    act(&server, &transfer, "receipts", json!({"lines": []})).await.invalid(&["/lines required"]);
    let body = json!({"lines": [{"sku": "TEA", "quantity": 5}], "close": true});
    let closed = act(&server, &transfer, "receipts", body).await.expect(201);
    assert_eq!(closed["status"], "received");
    assert_eq!(each(closed["lines"].as_array().unwrap(), "lost"), [1, 2]);
    let lost = server.list("/v1/stock/movements?reason=lost").await;
    assert_eq!(each(&lost, "to"), [&json!({"place": "adjustment"}); 2]);
    assert_eq!(server.get("/v1/stock/TEA").await.expect(200)["incoming"], 0);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_draft_can_be_given_up_and_ships_only_what_is_free() {
    let server = two_warehouses().await;
    let transfer = draft(&server, json!([{"sku": "TEA", "quantity": 8}, {"sku": "MUG", "quantity": 5}])).await;
    server.hold("TEA", 3, 900).await;
    let refused = act(&server, &transfer, "ship", json!({})).await.refused(409, "insufficient-stock");
    assert_eq!(refused["shortages"][0]["available"], 7);
    assert_eq!(server.level("MUG", "MAIN").await["on_hand"], 5);
    act(&server, &transfer, "receipts", json!({})).await.refused(409, "invalid-state");
    assert_eq!(act(&server, &transfer, "cancel", json!({})).await.expect(200)["status"], "cancelled");
    act(&server, &transfer, "ship", json!({})).await.refused(409, "invalid-state");
    server.assert_clean().await;
}

#[tokio::test]
async fn every_fault_of_a_transfer_is_named() {
    let server = two_warehouses().await;
    server.warehouse("CLOSED").await;
    server.patch("/v1/warehouses/CLOSED", json!({"active": false})).await.expect(200);
    let body = |from: &str, to: &str, lines: Value| json!({"from": from, "to": to, "lines": lines});
    let lines = json!([{"sku": "TEA", "quantity": 1}, {"sku": "NONE", "quantity": 1}, {"sku": "TEA", "quantity": 2}]);
    let expected = ["/from inactive", "/to unknown", "/lines/1/sku unknown", "/lines/2/sku repeated"];
    server.post("/v1/transfers", body("CLOSED", "NONE", lines)).await.invalid(&expected);
    let one = json!([{"sku": "TEA", "quantity": 1}]);
    server.post("/v1/transfers", body("MAIN", "MAIN", one)).await.invalid(&["/to same"]);
    server.post("/v1/transfers", body("MAIN", "LEEDS", json!([]))).await.invalid(&["/lines min_items"]);

    let transfer = draft(&server, json!([{"sku": "TEA", "quantity": 2}])).await;
    act(&server, &transfer, "ship", json!({})).await.expect(200);
    let lines = json!([{"sku": "TEA", "quantity": 3}, {"sku": "MUG", "quantity": 1}]);
    let expected = ["/lines/0/quantity exceeds_open", "/lines/1/sku unknown"];
    act(&server, &transfer, "receipts", json!({"lines": lines})).await.invalid(&expected);
    let nobody = json!({"id": "01980000-0000-7000-8000-000000000000"});
    act(&server, &nobody, "ship", json!({})).await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn transfers_are_listed_newest_first_and_filtered() {
    let server = two_warehouses().await;
    let line = json!([{"sku": "TEA", "quantity": 1}]);
    let first = draft(&server, line.clone()).await;
    let second = draft(&server, line.clone()).await;
    let body = json!({"from": "LEEDS", "to": "MAIN", "lines": line});
    let third = server.post("/v1/transfers", body).await.expect(201);
    act(&server, &first, "ship", json!({})).await.expect(200);
    for (query, expected) in [
        ("limit=1", vec![&third, &second, &first]),
        ("status=in_transit", vec![&first]),
        ("status=draft&from=MAIN", vec![&second]),
        ("to=MAIN", vec![&third]),
        ("status=cancelled", vec![]),
    ] {
        let found = server.list(&format!("/v1/transfers?{query}")).await;
        assert_eq!(each(&found, "id"), expected.iter().map(|t| &t["id"]).collect::<Vec<_>>(), "{query}");
    }
    server.assert_clean().await;
}
