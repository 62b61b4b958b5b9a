//! Returns that are asked for before they come.

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Server, each, send};

/// An order of so many at 6.50 each, all of it with the customer, with a discount of 1.00 that does not divide.
async fn delivered(server: &Server, quantity: i64) -> Value {
    let line = json!({
        "sku": "TEA", "quantity": quantity, "unit_price": {"amount": 650, "currency": "EUR"},
        "discount": {"amount": 100, "currency": "EUR"}, "tax_rate": 1900,
    });
    let order = server.post("/v1/orders", json!({"lines": [line]})).await.expect(201);
    server.post(&format!("/v1/orders/{}/shipments", order["number"]), json!({"warehouse": "MAIN"})).await.expect(201);
    order
}

fn asked(quantity: i64) -> Value {
    json!({"lines": [{"sku": "TEA", "quantity": quantity, "reason": "too strong"}]})
}

async fn ask(server: &Server, order: &Value, quantity: i64) -> Value {
    server.post(&format!("/v1/orders/{}/return-requests", order["number"]), asked(quantity)).await.expect(201)
}

fn path(request: &Value, what: &str) -> String {
    format!("/v1/return-requests/{}{what}", request["id"].as_str().unwrap())
}

async fn decide(server: &Server, request: &Value, what: &str, body: Value) -> Value {
    server.post(&path(request, what), body).await.expect(200)
}

fn goods(quantity: i64, disposition: &str) -> Value {
    json!({"lines": [{"sku": "TEA", "quantity": quantity, "disposition": disposition, "warehouse": "MAIN"}]})
}

#[tokio::test]
async fn a_return_is_approved_comes_bit_by_bit_and_is_worth_what_was_paid() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let order = delivered(&server, 3).await;
    let request = ask(&server, &order, 3).await;
    assert_eq!((&request["status"], &request["refund_due"]), (&json!("requested"), &Value::Null));
    assert_eq!(request["lines"][0]["approved"], Value::Null);
    server.post(&path(&request, "/receive"), goods(1, "restock")).await.refused(409, "invalid-state");
    let approved = decide(&server, &request, "/approve", json!({"restocking_fee": 50})).await;
    assert_eq!((&approved["status"], &approved["lines"][0]["approved"]), (&json!("approved"), &json!(3)));

    let some = decide(&server, &request, "/receive", goods(1, "restock")).await;
    assert_eq!(some["status"], "partially_received");
    server.post(&path(&request, "/cancel"), Value::Null).await.refused(409, "invalid-state");
    let all = decide(&server, &request, "/receive", goods(2, "quarantine")).await;
    assert_eq!((&all["status"], &all["lines"][0]["received"]), (&json!("received"), &json!(3)));
    // 3 at 6.50, less 1.00 and the fee of 0.50: tax is in the prices.
    assert_eq!(all["refund_due"], json!({"amount": 3 * 650 - 100 - 50, "currency": "EUR"}));
    let closed = decide(&server, &request, "/close", Value::Null).await;
    assert_eq!(closed["status"], "closed");
    assert_eq!(server.get(&path(&request, "")).await.expect(200), closed);

    let read = server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200);
    assert_eq!((&read["lines"][0]["returned"], read["returns"].as_array().unwrap().len()), (&json!(3), 2));
    assert_eq!(read["fulfilment_status"], "returned");
    let level = server.level("TEA", "MAIN").await;
    assert_eq!((&level["on_hand"], &level["unavailable_by"]["quarantined"]), (&json!(10), &json!(2)), "{level}");
    let news = server.events("return.*").await;
    let types = ["requested", "approved", "received", "progressed", "received", "progressed", "closed"];
    assert_eq!(each(&news, "type"), types.map(|name| json!(format!("return.{name}"))).iter().collect::<Vec<_>>());
    server.assert_clean().await;
}

#[tokio::test]
async fn the_self_check_finds_what_came_without_coming_back() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let order = delivered(&server, 3).await;
    let request = ask(&server, &order, 2).await;
    decide(&server, &request, "/approve", json!({})).await;
    decide(&server, &request, "/receive", goods(2, "restock")).await;
    server.assert_clean().await;
    let broken = r#"UPDATE returns.requests SET lines = jsonb_set(lines, '{0,received}', '3')"#;
    server.sql(broken).await.unwrap();
    let report = server.get("/v1/self-check").await.expect(200);
    let subject = format!("order {}, TEA", order["id"].as_str().unwrap());
    let difference = json!({"check": "received_within_returned", "subject": subject, "expected": 2, "found": 3});
    assert_eq!(report["differences"], json!([difference]));
}

#[tokio::test]
async fn less_may_be_approved_or_come_and_more_may_stand_at_the_door() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let order = delivered(&server, 5).await;
    let first = ask(&server, &order, 3).await;
    let fewer = json!({"lines": [{"sku": "TEA", "quantity": 2}]});
    assert_eq!(decide(&server, &first, "/approve", fewer).await["lines"][0]["approved"], 2);
    // Two are on their way back, so three are left to ask for.
    let requests = format!("/v1/orders/{}/return-requests", order["number"]);
    let conflict = server.post(&requests, asked(4)).await.refused(409, "invalid-state");
    assert_eq!(conflict["errors"][0]["pointer"], "/lines/0/quantity");
    let second = ask(&server, &order, 3).await;
    decide(&server, &second, "/approve", json!({})).await;

    decide(&server, &first, "/receive", goods(1, "restock")).await;
    decide(&server, &first, "/close", Value::Null).await;
    // What did not come may be asked for again.
    let third = ask(&server, &order, 1).await;
    decide(&server, &third, "/cancel", Value::Null).await;
    let over = decide(&server, &second, "/receive", goods(4, "scrap")).await;
    assert_eq!((&over["status"], &over["lines"][0]["over"]), (&json!("received"), &json!(1)));
    // All five are back: nobody has anything left.
    let late = server.post(&path(&second, "/receive"), goods(1, "restock")).await;
    late.refused(409, "invalid-state");
    server.post(&requests, asked(1)).await.refused(409, "invalid-state");
    let due = |request: &Value| request["refund_due"]["amount"].as_i64().unwrap();
    let first = server.get(&path(&first, "")).await.expect(200);
    assert_eq!(due(&first) + due(&over), 5 * 650 - 100, "together, what was paid");
    server.assert_clean().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_is_written() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10), ("MUG", 10)]).await;
    let order = delivered(&server, 2).await;
    let requests = format!("/v1/orders/{}/return-requests", order["number"]);
    let rejected = ask(&server, &order, 1).await;
    let rejected = decide(&server, &rejected, "/reject", json!({"reason": "the packet was opened"})).await;
    assert_eq!((&rejected["status"], &rejected["reason"]), (&json!("rejected"), &json!("the packet was opened")));
    let open = ask(&server, &order, 1).await;
    let before = server.row_counts().await;
    for what in ["/approve", "/receive", "/close", "/cancel", "/reject"] {
        let body = match what {
            "/approve" => json!({}),
            "/reject" => json!({"reason": "no"}),
            "/receive" => goods(1, "restock"),
            _ => Value::Null,
        };
        server.post(&path(&rejected, what), body).await.refused(409, "invalid-state");
    }
    let twice = json!({"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 1}]});
    server.post(&requests, twice).await.invalid(&["/lines/1/sku repeated"]);
    server.post(&requests, json!({"lines": [{"sku": "MUG", "quantity": 1}]})).await.refused(409, "invalid-state");
    server.post(&requests, json!({"lines": []})).await.invalid(&["/lines min_items"]);
    server.post("/v1/orders/99/return-requests", asked(1)).await.refused(404, "not-found");
    let lines = |sku: &str, quantity: i64| json!({"lines": [{"sku": sku, "quantity": quantity}]});
    server.post(&path(&open, "/approve"), lines("TEA", 2)).await.invalid(&["/lines/0/quantity too_many"]);
    server.post(&path(&open, "/approve"), lines("MUG", 1)).await.invalid(&["/lines/0/sku unknown"]);
    server.post(&path(&open, "/approve"), lines("TEA", 0)).await.invalid(&["/lines zero"]);
    server.get(&format!("/v1/return-requests/{}", Uuid::nil())).await.refused(404, "not-found");
    let stale = server.request(Method::POST, &path(&open, "/approve")).header("if-match", "\"0\"");
    send(stale.json(&json!({}))).await.refused(412, "precondition-failed");
    assert_eq!(server.row_counts().await, before);

    decide(&server, &open, "/approve", json!({})).await;
    let mug = json!({"lines": [{"sku": "MUG", "quantity": 1, "disposition": "restock", "warehouse": "MAIN"}]});
    server.post(&path(&open, "/receive"), mug).await.invalid(&["/lines/0/sku unknown"]);
    assert_eq!(each(&server.list("/v1/return-requests?status=approved").await, "id"), [&open["id"]]);
    let of_order = format!("/v1/return-requests?order_id={}", order["id"].as_str().unwrap());
    assert_eq!(each(&server.list(&of_order).await, "id"), [&open["id"], &rejected["id"]]);
    server.assert_clean().await;
}

#[tokio::test]
async fn without_a_price_nothing_is_known_to_be_due() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let order = server.order("TEA", 1).await;
    server.post(&format!("/v1/orders/{}/shipments", order["number"]), json!({"warehouse": "MAIN"})).await.expect(201);
    let request = ask(&server, &order, 1).await;
    decide(&server, &request, "/approve", json!({})).await;
    let back = decide(&server, &request, "/receive", goods(1, "restock")).await;
    assert_eq!((&back["status"], &back["refund_due"]), (&json!("received"), &Value::Null));
}

/// Whatever is asked, decided and received by whom at which of two servers: nothing comes back that was not shipped, no more is
/// expected than is with the customer when it is asked for, and no more is due than was paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_back_twice_whoever_receives_it() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 100)]).await;
    let orders = join_all((0..3).map(|_| delivered(&servers[0], 6))).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let clerk = |n: u64| {
        let (server, orders) = (&servers[usize::try_from(n % 2).unwrap()], &orders);
        async move {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(n));
            for _ in 0..25 {
                let order = &orders[random.random_range(0..orders.len())];
                let of_order = format!("/v1/return-requests?order_id={}", order["id"].as_str().unwrap());
                let known = server.list(&of_order).await;
                let some = random.random_range(1..4);
                let answer = match (random.random_range(0..8), known.is_empty()) {
                    (0 | 1, _) | (_, true) => {
                        server.post(&format!("/v1/orders/{}/return-requests", order["number"]), asked(some)).await
                    }
                    (what, false) => {
                        let request = &known[random.random_range(0..known.len())];
                        let (what, body) = match what {
                            2 | 3 => ("/approve", json!({"restocking_fee": some})),
                            4 => ("/cancel", Value::Null),
                            5 => ("/close", Value::Null),
                            _ => ("/receive", goods(some, "restock")),
                        };
                        server.post(&path(request, what), body).await
                    }
                };
                assert!([200, 201, 409].contains(&answer.status), "{}: {}", answer.what, answer.json);
            }
        }
    };
    join_all((0..6).map(clerk)).await;
    for order in &orders {
        let read = server_order(&servers[0], order).await;
        let requests =
            servers[1].list(&format!("/v1/return-requests?order_id={}", order["id"].as_str().unwrap())).await;
        let received: i64 = requests.iter().map(|request| request["lines"][0]["received"].as_i64().unwrap()).sum();
        assert_eq!(read["lines"][0]["returned"], received, "{requests:?}");
        assert!(received <= 6);
        let due: i64 = requests.iter().filter_map(|request| request["refund_due"]["amount"].as_i64()).sum();
        assert!(due <= 6 * 650 - 100, "{due}: {requests:?}");
    }
    for server in &servers {
        server.assert_clean().await;
    }
}

async fn server_order(server: &Server, order: &Value) -> Value {
    server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200)
}

#[tokio::test]
async fn something_else_is_sent_for_what_it_was_worth() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10), ("MINT", 3)]).await;
    let order = delivered(&server, 3).await;
    let request = ask(&server, &order, 2).await;
    decide(&server, &request, "/approve", json!({"restocking_fee": 50})).await;
    let wanted = json!({"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "MINT", "quantity": 1, "unit_price": {"amount": 200, "currency": "EUR"}}]});
    server.post(&path(&request, "/exchange"), wanted.clone()).await.refused(409, "invalid-state");
    // 2 at 6.50, less their part of 1.00, and the fee.
    let came = decide(&server, &request, "/receive", goods(2, "restock")).await;
    assert_eq!(came["refund_due"]["amount"], 1300 - 66 - 50);
    let problem = json!({"lines": [{"sku": "MINT", "quantity": 1}, {"sku": "TEA", "quantity": 1, "unit_price": {"amount": 1, "currency": "GBP"}}]});
    server
        .post(&path(&request, "/exchange"), problem)
        .await
        .invalid(&["/lines/0/unit_price required", "/lines/1/unit_price/currency differs"]);
    let none = json!({"lines": [{"sku": "TEA", "quantity": 99}]});
    server.post(&path(&request, "/exchange"), none).await.refused(409, "insufficient-stock");

    let done = decide(&server, &request, "/exchange", wanted.clone()).await;
    assert_eq!(done["exchange"]["credit"]["amount"], 850, "all that it costs is covered");
    assert_eq!(done["refund_due"]["amount"], 1184 - 850, "and the rest is to be paid back");
    let new = server.get(&format!("/v1/orders/{}", done["exchange"]["order_number"])).await.expect(200);
    assert_eq!(
        (&new["total"]["amount"], &new["reference"]),
        (&json!(0), &json!(format!("exchange of {}", order["number"])))
    );
    assert_eq!((&new["lines"][0]["unit_price"]["amount"], &new["lines"][0]["tax_rate"]), (&json!(650), &json!(1900)));
    server.post(&path(&request, "/exchange"), wanted).await.refused(409, "invalid-state");

    let second = ask(&server, &order, 1).await;
    decide(&server, &second, "/approve", json!({})).await;
    decide(&server, &second, "/receive", goods(1, "restock")).await;
    decide(&server, &second, "/close", Value::Null).await;
    let dearer = json!({"lines": [{"sku": "MINT", "quantity": 1, "unit_price": {"amount": 1000, "currency": "EUR"}}]});
    let done = decide(&server, &second, "/exchange", dearer).await;
    let credit = done["exchange"]["credit"]["amount"].as_i64().unwrap();
    assert_eq!((credit, &done["refund_due"]["amount"]), (650 - 34, &json!(0)));
    let new = server.get(&format!("/v1/orders/{}", done["exchange"]["order_number"])).await.expect(200);
    assert_eq!(new["total"]["amount"], 1000 - credit, "what it costs beyond that is to be paid");
    assert_eq!(each(&server.events("return.exchanged").await, "subject").len(), 2);
    server.assert_clean().await;
}
