//! Reservations: from the hold to its end.

use serde_json::{Value, json};

use crate::harness::{Server, each, eventually, faults};

fn path(reservation: &Value) -> String {
    format!("/v1/reservations/{}", reservation["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_hold_takes_from_what_is_available_until_it_is_released() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let body =
        json!({"lines": [{"sku": "TEA", "quantity": 4}], "ttl_seconds": 60, "owner": "cart-1", "reference": "R-1"});
    let created = server.post("/v1/reservations", body).await;
    let address = created.header("location").unwrap().to_owned();
    let held = created.expect(201);
    assert_eq!(address, path(&held));
    assert_eq!(held["status"], "active");
    assert_eq!(held["owner"], "cart-1");
    assert_eq!(held["reference"], "R-1");
    assert_eq!(held["ended_at"], json!(null));
    let line = json!({"sku": "TEA", "quantity": 4, "requested": 4, "backordered": 0, "warehouse": null,
        "allocations": [{"warehouse": "MAIN", "quantity": 4}]});
    assert_eq!(held["lines"], json!([line]));
    assert_eq!(server.get(&address).await.expect(200), held);
    let level = server.level("TEA", "MAIN").await;
    let quantities = ["on_hand", "reserved", "available"].map(|of| level[of].as_i64().unwrap());
    assert_eq!(quantities, [10, 4, 6]);
    assert_eq!(level["next_expiry_at"], held["expires_at"]);

    server.delete(&address).await.expect(204);
    server.delete(&address).await.expect(204);
    let released = server.get(&address).await.expect(200);
    assert_eq!(released["status"], "released");
    assert_ne!(released["ended_at"], json!(null));
    assert_eq!(server.available("TEA").await, 10);
    server.post(&format!("{address}/extend"), json!({"ttl_seconds": 9})).await.refused(409, "reservation-ended");
    server.post("/v1/orders", json!({"reservation_id": held["id"]})).await.refused(409, "reservation-ended");
    let events = server.events("reservation.created,reservation.released").await;
    assert_eq!(each(&events, "type"), ["reservation.created", "reservation.released"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn extending_never_shortens() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let held = server.hold("TEA", 1, 600).await;
    let extend = format!("{}/extend", path(&held));
    let same = server.post(&extend, json!({"ttl_seconds": 10})).await.expect(200);
    assert_eq!(same["expires_at"], held["expires_at"]);
    let longer = server.post(&extend, json!({"ttl_seconds": 1200})).await.expect(200);
    assert!(longer["expires_at"].as_str() > held["expires_at"].as_str());
    assert_eq!(server.level("TEA", "MAIN").await["next_expiry_at"], longer["expires_at"]);
    server.post(&extend, json!({"ttl_seconds": 0})).await.invalid(&["/ttl_seconds minimum"]);
    server.post(&extend, json!({"ttl_seconds": 604_801})).await.invalid(&["/ttl_seconds maximum"]);
    server.post(&extend, json!({})).await.invalid(&["/ttl_seconds required"]);
    server.assert_clean().await;
}

/// Nobody sweeps here: expiry is a matter of the clock alone.
#[tokio::test]
async fn what_has_expired_is_free_at_once_swept_or_not() {
    let server = Server::without_sweeper().await;
    server.shop(&[("TEA", 5), ("MUG", 5)]).await;
    let held = server.hold("TEA", 5, 1).await;
    let other = server.hold("MUG", 5, 1).await;
    let short = json!({"lines": [{"sku": "TEA", "quantity": 1}]});
    let refused = server.post("/v1/reservations", short).await.refused(409, "insufficient-stock");
    assert_eq!(refused["shortages"][0]["next_expiry_at"], held["expires_at"]);
    eventually("the hold expires", || async { server.get(&path(&other)).await.json["status"] == "expired" }).await;

    let expired = server.get(&path(&held)).await.expect(200);
    assert_eq!((&expired["status"], &expired["ended_at"]), (&json!("expired"), &held["expires_at"]));
    assert_eq!(each(&server.list("/v1/reservations?status=expired").await, "id"), [&other["id"], &held["id"]]);
    assert!(server.list("/v1/reservations?status=active").await.is_empty());
    assert_eq!(server.available("TEA").await, 5);
    assert_eq!(server.level("TEA", "MAIN").await["reserved"], 0);
    assert_eq!(server.get("/v1/stock/TEA/explain").await.expect(200)["holds"], json!([]));
    server.delete(&path(&held)).await.refused(409, "reservation-ended");
    server.post(&format!("{}/extend", path(&held)), json!({"ttl_seconds": 60})).await.refused(409, "reservation-ended");
    let refused =
        server.post("/v1/orders", json!({"reservation_id": held["id"]})).await.refused(409, "reservation-ended");
    assert_eq!(refused["reservation_status"], "expired");

    // The sale that needs it takes it: as a hold, as an order, and out of the warehouse.
    server.hold("TEA", 5, 900).await;
    server.order("MUG", 5).await;
    server.assert_clean().await;
}

#[tokio::test]
async fn stock_that_an_expired_hold_blocks_can_leave_the_warehouse() {
    let server = Server::without_sweeper().await;
    server.shop(&[("TEA", 5), ("MUG", 5)]).await;
    server.warehouse("OTHER").await;
    server.hold("TEA", 5, 1).await;
    let held = server.hold("MUG", 5, 1).await;
    eventually("the hold expires", || async { server.get(&path(&held)).await.json["status"] == "expired" }).await;
    let body = json!({"sku": "TEA", "warehouse": "MAIN", "change": -5, "reason": "stolen"});
    server.post("/v1/stock/adjustments", body).await.expect(201);
    let body = json!({"from": "MAIN", "to": "OTHER", "lines": [{"sku": "MUG", "quantity": 5}]});
    let transfer = server.post("/v1/transfers", body).await.expect(201);
    server.post(&format!("/v1/transfers/{}/ship", transfer["id"].as_str().unwrap()), json!({})).await.expect(200);
    server.assert_clean().await;
}

#[tokio::test]
async fn the_sweeper_tells_of_what_expires() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let held = server.hold("TEA", 5, 1).await;
    eventually("it is published", || async { !server.events("reservation.expired").await.is_empty() }).await;
    let told = server.events("reservation.expired").await;
    assert_eq!((told.len(), &told[0]["data"]["id"]), (1, &held["id"]));
    assert_eq!(told[0]["subject"], format!("reservations/{}", held["id"].as_str().unwrap()));
    assert_eq!(server.level("TEA", "MAIN").await["reserved"], 0);
    server.assert_clean().await;
}

#[tokio::test]
async fn an_owner_replaces_a_hold_without_standing_in_the_own_way() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10), ("MUG", 1)]).await;
    let cart = |owner: &str, replace: &Value, lines: Value| json!({"owner": owner, "replace": replace, "lines": lines});
    let first = server.reserve(cart("ada", &json!(null), json!([{"sku": "TEA", "quantity": 8}]))).await;
    let more = json!([{"sku": "TEA", "quantity": 10}]);
    server.post("/v1/reservations", cart("ada", &json!(null), more.clone())).await.refused(409, "insufficient-stock");
    let second = server.reserve(cart("ada", &first["id"], more)).await;
    assert_eq!(server.get(&path(&first)).await.expect(200)["status"], "released");
    assert_eq!(server.level("TEA", "MAIN").await["reserved"], 10);

    // Refused: the old one stays as it is.
    let too_much = json!([{"sku": "TEA", "quantity": 1}, {"sku": "MUG", "quantity": 2}]);
    server.post("/v1/reservations", cart("ada", &second["id"], too_much)).await.refused(409, "insufficient-stock");
    assert_eq!(server.get(&path(&second)).await.expect(200), second);

    let one = json!([{"sku": "TEA", "quantity": 1}]);
    server.post("/v1/reservations", cart("bob", &second["id"], one.clone())).await.invalid(&["/replace unknown"]);
    let nobody = json!({"replace": second["id"], "lines": one});
    server.post("/v1/reservations", nobody).await.invalid(&["/owner required"]);
    server.post("/v1/orders", json!({"reservation_id": second["id"]})).await.expect(201);
    server.post("/v1/reservations", cart("ada", &second["id"], one)).await.refused(409, "reservation-ended");
    server.assert_clean().await;
}

#[tokio::test]
async fn partly_is_better_than_nothing_when_allowed() {
    let server = Server::start().await;
    server.shop(&[("TEA", 3), ("MUG", 0)]).await;
    let lines = json!([{"sku": "TEA", "quantity": 5}, {"sku": "MUG", "quantity": 2}]);
    let body = json!({"lines": lines, "allow_partial": true});
    let held = server.reserve(body.clone()).await;
    assert_eq!(each(held["lines"].as_array().unwrap(), "quantity"), [3, 0]);
    assert_eq!(each(held["lines"].as_array().unwrap(), "requested"), [5, 2]);
    server.post("/v1/reservations", body).await.refused(409, "insufficient-stock");
    server.post(&format!("{}/extend", path(&held)), json!({"ttl_seconds": 6000})).await.expect(200);
    let order = server.post("/v1/orders", json!({"reservation_id": held["id"]})).await.expect(201);
    assert_eq!(each(order["lines"].as_array().unwrap(), "sku"), ["TEA"]);
    assert_eq!(order["lines"][0]["quantity"], 3);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_shortage_says_what_else_could_be_had() {
    let server = Server::start().await;
    server.shop(&[("GREEN", 4), ("BLACK", 0), ("WHITE", 9)]).await;
    let body = json!({"sku": "TEA", "name": "Tea", "substitutes": ["BLACK", "WHITE", "GREEN"]});
    server.post("/v1/products", body).await.expect(201);
    server.stock("TEA", "MAIN", 2).await;
    let held = server.hold("TEA", 1, 900).await;
    let lines =
        json!([{"sku": "TEA", "quantity": 2}, {"sku": "WHITE", "quantity": 1}, {"sku": "BLACK", "quantity": 1}]);
    for address in ["/v1/reservations", "/v1/orders"] {
        let problem = server.post(address, json!({"lines": lines})).await.refused(409, "insufficient-stock");
        let substitutes = json!([{"sku": "WHITE", "available": 9}, {"sku": "GREEN", "available": 4}]);
        let expected = json!([
            {"sku": "BLACK", "requested": 1, "available": 0, "next_expiry_at": null, "substitutes": []},
            {"sku": "TEA", "requested": 2, "available": 1, "next_expiry_at": held["expires_at"], "substitutes": substitutes},
        ]);
        assert_eq!(problem["shortages"], expected);
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn an_owner_may_hold_a_hundred_and_no_more() {
    let server = Server::start().await;
    server.shop(&[("TEA", 1000)]).await;
    let cart = json!({"owner": "ada", "lines": [{"sku": "TEA", "quantity": 1}]});
    let answer = server.post("/v1/reservations/batch", json!({"items": vec![cart.clone(); 101]})).await.expect(200);
    let results = answer["results"].as_array().unwrap();
    assert!(each(&results[..100], "status").iter().all(|status| **status == 201));
    assert_eq!(results[100]["problem"]["type"], "/problems/too-many-holds");
    server.post("/v1/reservations", cart.clone()).await.refused(409, "too-many-holds");

    // One for one is no more than before; what has nothing left to give up makes no room.
    let first = &results[0]["body"];
    let replacing = json!({"owner": "ada", "replace": first["id"], "lines": [{"sku": "TEA", "quantity": 1}]});
    server.reserve(replacing.clone()).await;
    server.post("/v1/reservations", replacing.clone()).await.refused(409, "too-many-holds");
    let second = json!({"owner": "ada", "replace": results[1]["body"]["id"], "lines": [{"sku": "TEA", "quantity": 1}]});
    let answer = server.post("/v1/reservations/batch", json!({"items": [second, second]})).await.expect(200);
    assert_eq!(each(answer["results"].as_array().unwrap(), "status"), [201, 409]);
    assert_eq!(server.list("/v1/reservations?owner=ada&status=active&limit=200").await.len(), 100);

    server.delete(&path(&results[2]["body"])).await.expect(204);
    server.reserve(cart).await;
    server.reserve(json!({"owner": "bob", "lines": [{"sku": "TEA", "quantity": 1}]})).await;
    server.assert_clean().await;
}

#[tokio::test]
async fn reservations_are_listed_newest_first_and_filtered() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10), ("MUG", 10)]).await;
    let reserve = |owner: &str, sku: &str| json!({"owner": owner, "lines": [{"sku": sku, "quantity": 1}]});
    let mut ids = Vec::new();
    for (owner, sku) in [("ada", "TEA"), ("bob", "TEA"), ("ada", "MUG")] {
        ids.push(server.reserve(reserve(owner, sku)).await["id"].clone());
    }
    server.delete(&format!("/v1/reservations/{}", ids[1].as_str().unwrap())).await.expect(204);
    server.post("/v1/orders", json!({"reservation_id": ids[2]})).await.expect(201);
    for (query, expected) in [
        ("limit=1", vec![2, 1, 0]),
        ("owner=ada", vec![2, 0]),
        ("sku=TEA", vec![1, 0]),
        ("status=active", vec![0]),
        ("status=released", vec![1]),
        ("status=committed", vec![2]),
        ("status=expired", vec![]),
        ("owner=ada&sku=MUG&status=committed", vec![2]),
        ("owner=nobody", vec![]),
    ] {
        let found = server.list(&format!("/v1/reservations?{query}")).await;
        let expected: Vec<&Value> = expected.iter().map(|n: &usize| &ids[*n]).collect();
        assert_eq!(each(&found, "id"), expected, "{query}");
    }
    server.get("/v1/reservations?status=lost").await.invalid(&["/query/status enum"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn each_reservation_of_a_batch_is_answered_on_its_own() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let item = |sku: &str, quantity: i64| json!({"lines": [{"sku": sku, "quantity": quantity}]});
    let items = [item("TEA", 3), item("TEA", 3), item("NONE", 1), item("TEA", 0), item("TEA", 2), item("TEA", 1)];
    let answer = server.post("/v1/reservations/batch", json!({"items": items})).await.expect(200);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(each(results, "status"), [201, 409, 422, 422, 201, 409]);
    assert_eq!(results[1]["problem"]["shortages"][0]["available"], 2);
    assert_eq!(faults(&results[2]["problem"]), ["/items/2/lines/0/sku unknown"]);
    assert_eq!(faults(&results[3]["problem"]), ["/items/3/lines/0/quantity minimum"]);
    assert_eq!(server.get(&path(&results[4]["body"])).await.expect(200), results[4]["body"]);
    assert_eq!(server.level("TEA", "MAIN").await["reserved"], 5);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_hold_may_promise_what_is_not_there_yet() {
    let server = Server::start().await;
    server.shop(&[]).await;
    server.backorderable("TEA", 5).await;
    server.stock("TEA", "MAIN", 2).await;
    let held = server.hold("TEA", 4, 900).await;
    assert_eq!(held["lines"][0]["quantity"], 4);
    assert_eq!(held["lines"][0]["backordered"], 2);
    assert_eq!(held["lines"][0]["allocations"], json!([{"warehouse": "MAIN", "quantity": 2}]));
    let stock = server.get("/v1/stock/TEA").await.expect(200);
    assert_eq!(
        (&stock["available"], &stock["backordered"], &stock["state"]),
        (&json!(0), &json!(2), &json!("backorder"))
    );
    let short = json!({"lines": [{"sku": "TEA", "quantity": 4}]});
    server.post("/v1/reservations", short).await.refused(409, "insufficient-stock");
    server.hold("TEA", 3, 900).await;
    server.delete(&path(&held)).await.expect(204);
    assert_eq!(server.get("/v1/stock/TEA").await.expect(200)["backordered"], 3);
    server.assert_clean().await;
}
