//! Orders that change before they are sent: less, more, something else, from elsewhere, later, together.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, each, eventually, send};

fn euro(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn at(order: &Value, more: &str) -> String {
    format!("/v1/orders/{}{more}", order["number"])
}

fn of_line(order: &Value, n: usize, more: &str) -> String {
    at(order, &format!("/lines/{}{more}", order["lines"][n]["id"].as_str().unwrap()))
}

/// `[allocated, backordered, shipped, cancelled]` of each line
fn lines(order: &Value) -> Value {
    let line = |line: &Value| json!([line["allocated"], line["backordered"], line["shipped"], line["cancelled"]]);
    order["lines"].as_array().unwrap().iter().map(line).collect()
}

async fn order_of(server: &Server, sku: &str, quantity: i64) -> Value {
    let line = json!({"sku": sku, "quantity": quantity, "unit_price": euro(650)});
    server.post("/v1/orders", json!({"lines": [line]})).await.expect(201)
}

/// 3 TEA in MAIN, 5 in FAR, where no channel sells from; more may be backordered.
async fn two_places() -> Server {
    let server = Server::start().await;
    server.shop(&[("TEA", 3), ("MINT", 9)]).await;
    server.warehouse("FAR").await;
    server.channel("web", &[("MAIN", 0)]).await;
    server.patch("/v1/products/TEA", json!({"availability": {"backorder_limit": 9}})).await.expect(200);
    server.stock("TEA", "FAR", 5).await;
    server
}

async fn web_order(server: &Server, quantity: i64) -> Value {
    let line =
        json!({"sku": "TEA", "quantity": quantity, "unit_price": euro(650), "discount": euro(quantity * 10 + 1)});
    server.post("/v1/orders", json!({"lines": [line], "channel": "web"})).await.expect(201)
}

#[tokio::test]
async fn less_of_a_line_is_given_up_where_it_waits_first() {
    let server = two_places().await;
    let order = web_order(&server, 5).await;
    assert_eq!(lines(&order), json!([[3, 2, 0, 0]]));
    let cancel = of_line(&order, 0, "/cancel");
    let less = server.post(&cancel, json!({"quantity": 3, "reason": "too many"})).await.expect(200);
    assert_eq!((lines(&less), &less["status"], &less["total"]), (json!([[2, 0, 0, 3]]), &json!("placed"), &euro(1280)));
    assert_eq!(server.level("TEA", "MAIN").await["available"], 1);
    let problem = server.post(&cancel, json!({"quantity": 3})).await.refused(409, "invalid-state");
    assert_eq!(problem["errors"][0]["pointer"], "/quantity");
    server
        .post(&at(&order, "/shipments"), json!({"warehouse": "MAIN", "lines": [{"sku": "TEA", "quantity": 1}]}))
        .await
        .expect(201);
    let rest = server.post(&cancel, json!({})).await.expect(200);
    assert_eq!((lines(&rest), &rest["status"]), (json!([[0, 0, 1, 4]]), &json!("placed")), "what is shipped stays so");
    server.post(&cancel, json!({})).await.refused(409, "invalid-state");
    let none = at(&order, "/lines/0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c/cancel");
    server.post(&none, json!({})).await.refused(404, "not-found");

    let whole = order_of(&server, "MINT", 2).await;
    let gone = server.post(&of_line(&whole, 0, "/cancel"), json!({})).await.expect(200);
    assert_eq!((&gone["status"], &gone["total"]), (&json!("cancelled"), &euro(0)));
    assert_eq!(each(&server.events("order.cancelled").await, "subject").len(), 1);
    assert_eq!(server.events("order.updated").await.len(), 2);
    server.assert_clean().await;
}

#[tokio::test]
async fn what_is_given_up_serves_those_who_wait() {
    let server = two_places().await;
    let first = web_order(&server, 3).await;
    let second = web_order(&server, 2).await;
    assert_eq!(lines(&second), json!([[0, 2, 0, 0]]));
    server.post(&of_line(&first, 0, "/cancel"), json!({"quantity": 1})).await.expect(200);
    assert_eq!(lines(&server.get(&at(&second, "")).await.expect(200)), json!([[1, 1, 0, 0]]));
    server.post(&at(&first, "/reallocate"), json!({"warehouse": "FAR"})).await.expect(200);
    assert_eq!(lines(&server.get(&at(&second, "")).await.expect(200)), json!([[2, 0, 0, 0]]));
    server.assert_clean().await;
}

#[tokio::test]
async fn more_is_sold_to_an_order_or_nothing_of_it() {
    let server = two_places().await;
    let order = web_order(&server, 1).await;
    let add = at(&order, "/lines");
    let more = json!({"lines": [{"sku": "MINT", "quantity": 2, "unit_price": euro(300)}, {"sku": "TEA", "quantity": 4, "unit_price": euro(650)}]});
    let added = server.post(&add, more).await.expect(200);
    assert_eq!(lines(&added), json!([[1, 0, 0, 0], [2, 0, 0, 0], [2, 2, 0, 0]]));
    assert_eq!(added["total"], euro(639 + 600 + 2600));
    let short = json!({"lines": [{"sku": "MINT", "quantity": 1, "unit_price": euro(300)}, {"sku": "TEA", "quantity": 90, "unit_price": euro(650)}]});
    server.post(&add, short).await.refused(409, "insufficient-stock");
    server
        .post(&add, json!({"lines": [{"sku": "MINT", "quantity": 1}, {"sku": "TEA", "quantity": 1, "unit_price": {"amount": 1, "currency": "GBP"}}]}))
        .await
        .invalid(&["/lines/0/unit_price required", "/lines/1/unit_price/currency differs"]);
    assert_eq!(server.get(&at(&order, "")).await.expect(200)["lines"], added["lines"]);
    server.post(&at(&order, "/cancel"), json!({})).await.expect(200);
    server
        .post(&add, json!({"lines": [{"sku": "MINT", "quantity": 1, "unit_price": euro(300)}]}))
        .await
        .refused(409, "invalid-state");
    server.assert_clean().await;
}

#[tokio::test]
async fn something_else_is_sold_in_its_place_at_the_same_price() {
    let server = two_places().await;
    let order = web_order(&server, 5).await;
    let substitute = of_line(&order, 0, "/substitute");
    let other = server.post(&substitute, json!({"sku": "MINT"})).await.expect(200);
    assert_eq!(lines(&other), json!([[3, 0, 0, 2], [2, 0, 0, 0]]));
    assert_eq!((&other["total"], &other["lines"][1]["discount"]), (&order["total"], &euro(21)));
    let cheaper =
        server.post(&substitute, json!({"sku": "MINT", "quantity": 1, "unit_price": euro(100)})).await.expect(200);
    assert_eq!(
        (lines(&cheaper), &cheaper["lines"][2]["unit_price"]),
        (json!([[2, 0, 0, 3], [2, 0, 0, 0], [1, 0, 0, 0]]), &euro(100))
    );
    server.post(&substitute, json!({"sku": "TEA"})).await.invalid(&["/sku same"]);
    server.post(&substitute, json!({"sku": "NONE"})).await.invalid(&["/sku unknown"]);
    server
        .post(&substitute, json!({"sku": "MINT", "unit_price": {"amount": 1, "currency": "GBP"}}))
        .await
        .invalid(&["/unit_price/currency differs"]);
    server.product("COCOA").await;
    server.post(&substitute, json!({"sku": "COCOA"})).await.refused(409, "insufficient-stock");
    assert_eq!(server.get(&at(&order, "")).await.expect(200)["lines"], cheaper["lines"], "nothing was given up");
    server.assert_clean().await;
}

#[tokio::test]
async fn holds_that_have_ended_are_given_up_by_a_change_and_not_forgotten() {
    let server = Server::without_sweeper().await;
    server.shop(&[("TEA", 5), ("MINT", 5)]).await;
    let order = order_of(&server, "TEA", 2).await;
    for sku in ["TEA", "MINT"] {
        server.hold(sku, 2, 1).await;
    }
    eventually("they have ended", || async {
        server.available("MINT").await == 5 && server.available("TEA").await == 3
    })
    .await;
    server.post(&of_line(&order, 0, "/substitute"), json!({"sku": "MINT", "quantity": 1})).await.expect(200);
    for sku in ["TEA", "MINT"] {
        assert_eq!(
            server.text(&format!("SELECT reserved::text FROM inventory.levels WHERE sku = '{sku}'")).await,
            "0\n"
        );
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn it_is_sent_from_elsewhere_as_a_whole_or_not() {
    let server = two_places().await;
    let order = web_order(&server, 6).await;
    assert_eq!(lines(&order), json!([[3, 3, 0, 0]]));
    let reallocate = at(&order, "/reallocate");
    let short = server.post(&reallocate, json!({"warehouse": "FAR"})).await.refused(409, "insufficient-stock");
    assert_eq!((&short["shortages"][0]["requested"], &short["shortages"][0]["available"]), (&json!(6), &json!(5)));
    let some = json!({"warehouse": "FAR", "lines": [{"sku": "TEA", "quantity": 4}]});
    let moved = server.post(&reallocate, some).await.expect(200);
    let parts = json!([{"warehouse": "FAR", "quantity": 4}, {"warehouse": "MAIN", "quantity": 2}]);
    assert_eq!((&moved["lines"][0]["allocations"], &moved["lines"][0]["backordered"]), (&parts, &json!(0)));
    assert_eq!(
        (server.level("TEA", "MAIN").await["allocated"].clone(), server.level("TEA", "FAR").await["allocated"].clone()),
        (json!(2), json!(4))
    );
    let too_many = json!({"warehouse": "FAR", "lines": [{"sku": "TEA", "quantity": 3}]});
    server.post(&reallocate, too_many).await.refused(409, "invalid-state");
    server.post(&reallocate, json!({"warehouse": "NONE"})).await.invalid(&["/warehouse unknown"]);
    server.patch("/v1/warehouses/FAR", json!({"active": false})).await.expect(200);
    server.post(&reallocate, json!({"warehouse": "FAR"})).await.invalid(&["/warehouse inactive"]);
    let back = server
        .post(&reallocate, json!({"warehouse": "MAIN", "lines": [{"sku": "TEA", "quantity": 1}]}))
        .await
        .expect(200);
    assert_eq!(back["lines"][0]["allocated"], 6);
    server.post(&at(&order, "/shipments"), json!({"warehouse": "MAIN"})).await.expect(201);
    server.post(&reallocate, json!({"warehouse": "MAIN"})).await.refused(409, "insufficient-stock");
    server.assert_clean().await;
}

#[tokio::test]
async fn it_is_sent_together_or_bit_by_bit() {
    let server = two_places().await;
    let cart =
        server.cart(json!({"lines": [{"sku": "TEA", "quantity": 4, "unit_price": euro(1)}], "channel": "web"})).await;
    let checkout = format!("/v1/carts/{}/checkout", cart["id"].as_str().unwrap());
    let order = server.post(&checkout, json!({"ship_together": true})).await.expect(201);
    assert_eq!((lines(&order), &order["ship_together"]), (json!([[3, 1, 0, 0]]), &json!(true)));
    let ship = at(&order, "/shipments");
    server.post(&ship, json!({"warehouse": "MAIN"})).await.refused(409, "invalid-state");
    let apart = server.patch(&at(&order, ""), json!({"ship_together": false, "note": "Ring twice"})).await.expect(200);
    assert_eq!((&apart["ship_together"], &apart["note"]), (&json!(false), &json!("Ring twice")));
    server.post(&ship, json!({"warehouse": "MAIN"})).await.expect(201);

    let address = json!({"line1": "1 Park Row", "city": "Leeds", "country": "GB"});
    let moved = server
        .patch(&at(&order, ""), json!({"shipping_address": address, "customer": {"name": "Ada"}}))
        .await
        .expect(200);
    assert_eq!((&moved["shipping_address"]["city"], &moved["customer"]["name"]), (&json!("Leeds"), &json!("Ada")));
    let told = server.events("order.updated").await.len();
    server.patch(&at(&order, ""), json!({"customer": {"name": "Ada"}})).await.expect(200);
    assert_eq!(server.events("order.updated").await.len(), told, "nothing has changed");
    server.patch(&at(&order, ""), json!({"status": "cancelled"})).await.refused(422, "validation");
    server.assert_clean().await;
}

#[tokio::test]
async fn a_line_is_promised_for_a_day() {
    let server = Server::start().await;
    server.shop(&[("TEA", 3)]).await;
    let preorder = json!({"sku": "BOOK", "name": "Book", "availability": {"preorder": {"release_date": "2999-02-01", "limit": 9}}});
    server.post("/v1/products", preorder).await.expect(201);
    let wanted = json!([{"sku": "BOOK", "quantity": 1}, {"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 1, "promised_for": "2999-01-01"}]);
    let order = server.post("/v1/orders", json!({"lines": wanted})).await.expect(201);
    let promised = |order: &Value| -> Value {
        each(order["lines"].as_array().unwrap(), "promised_for").into_iter().cloned().collect()
    };
    assert_eq!(promised(&order), json!(["2999-02-01", null, "2999-01-01"]));
    let held = server.hold("BOOK", 1, 60).await;
    let reserved = server.post("/v1/orders", json!({"reservation_id": held["id"]})).await.expect(201);
    assert_eq!(promised(&reserved), json!(["2999-02-01"]));
    let changed = server.patch(&of_line(&order, 1, ""), json!({"promised_for": "2999-03-01"})).await.expect(200);
    assert_eq!(promised(&changed), json!(["2999-02-01", "2999-03-01", "2999-01-01"]));
    let taken_back = server.patch(&of_line(&order, 0, ""), json!({"promised_for": null})).await.expect(200);
    assert_eq!(promised(&taken_back), json!([null, "2999-03-01", "2999-01-01"]));
    server.patch(&of_line(&order, 0, ""), json!({"promised_for": "soon"})).await.refused(422, "validation");
}

#[tokio::test]
async fn whoever_changes_an_order_at_once_with_others_changes_it_as_a_whole() {
    let servers = Server::pair().await;
    let [one, other] = &servers;
    one.shop(&[("TEA", 20), ("MINT", 20)]).await;
    one.warehouse("FAR").await;
    one.stock("TEA", "FAR", 20).await;
    let order = order_of(one, "TEA", 20).await;
    let calls = (0..40).map(|n| {
        let server = if n % 2 == 0 { one } else { other };
        let (path, body) = match n % 5 {
            0 => (of_line(&order, 0, "/cancel"), json!({"quantity": 1})),
            1 => (at(&order, "/reallocate"), json!({"warehouse": "FAR", "lines": [{"sku": "TEA", "quantity": 2}]})),
            2 => (of_line(&order, 0, "/substitute"), json!({"sku": "MINT", "quantity": 1})),
            3 => (at(&order, "/shipments"), json!({"warehouse": "MAIN", "lines": [{"sku": "TEA", "quantity": 1}]})),
            _ => (at(&order, "/lines"), json!({"lines": [{"sku": "MINT", "quantity": 1, "unit_price": euro(650)}]})),
        };
        send(server.request(Method::POST, &path).json(&body))
    });
    for answer in join_all(calls).await {
        assert!([200, 201, 409].contains(&answer.status), "{}", answer.status);
    }
    let order = one.get(&at(&order, "")).await.expect(200);
    for line in order["lines"].as_array().unwrap() {
        let units = ["allocated", "backordered", "shipped", "cancelled"].map(|name| line[name].as_i64().unwrap());
        assert_eq!(units.iter().sum::<i64>(), line["quantity"].as_i64().unwrap(), "{line}");
    }
    crate::races::finish(servers).await;
}
