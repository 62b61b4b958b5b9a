//! Money that somebody of the shop says was promised, came, or was paid back.

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{amounts, comes_to, order_of, path, payment_status, read};
use crate::harness::{Server, each, eventually, send};

async fn pay(server: &Server, order: &Value, more: Value) -> Value {
    server.post("/v1/payments", new(order, more)).await.expect(201)
}

fn new(order: &Value, more: Value) -> Value {
    let mut body = json!({"order_id": order["id"], "provider": "manual"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn an_invoice_is_paid_bit_by_bit_and_partly_paid_back() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let order = order_of(&server, 3).await;
    let payment = pay(&server, &order, json!({})).await;
    assert_eq!(amounts(&payment), json!(["authorised", 1950, 0, 0]));
    assert_eq!((&payment["method"], &payment["amount"]), (&json!("invoice"), &json!(1950)));
    assert_eq!(payment_status(&server, &order).await, "authorised");

    let (capture, refund) = (format!("{}/capture", path(&payment)), format!("{}/refund", path(&payment)));
    let some = server.post(&capture, json!({"amount": 1000})).await.expect(200);
    assert_eq!(amounts(&some), json!(["captured", 1950, 1000, 0]));
    assert_eq!(payment_status(&server, &order).await, "authorised", "not all of it came");
    server.post(&capture, json!({"amount": 951})).await.invalid(&["/amount exceeds"]);
    let all = server.post(&capture, json!({})).await.expect(200);
    assert_eq!(amounts(&all), json!(["captured", 1950, 1950, 0]));
    assert_eq!(payment_status(&server, &order).await, "paid");
    server.post(&capture, json!({})).await.refused(409, "invalid-state");
    server.post(&format!("{}/void", path(&payment)), Value::Null).await.refused(409, "invalid-state");

    let cup = json!({"amount": 50, "reason": "a broken cup"});
    let back = server.post(&refund, cup).await.expect(200);
    assert_eq!(amounts(&back), json!(["captured", 1950, 1950, 50]));
    assert_eq!(back["operations"][3]["reason"], "a broken cup");
    assert_eq!(payment_status(&server, &order).await, "partially_refunded");
    server.post(&refund, json!({"amount": 1901})).await.invalid(&["/amount exceeds"]);
    server.post(&refund, json!({})).await.expect(200);
    assert_eq!(payment_status(&server, &order).await, "refunded");
    server.post(&refund, json!({})).await.refused(409, "invalid-state");

    let read = read(&server, &payment).await;
    let kinds = each(read["operations"].as_array().unwrap(), "kind").into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(kinds, ["authorise", "capture", "capture", "refund", "refund"]);
    let paid = server.events("order.paid").await;
    assert_eq!((paid.len(), &paid[0]["data"]["payment_status"]), (1, &json!("paid")));
    let told = server.events("payment.authorised,payment.captured,payment.refunded").await;
    assert_eq!(told.len(), 5);
    assert_eq!(amounts(&told[4]["data"]), amounts(&read));
    server.assert_clean().await;
}

#[tokio::test]
async fn several_payments_make_up_an_order_and_never_more() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let order = order_of(&server, 2).await;
    let cash = pay(&server, &order, json!({"method": "cash", "amount": 500, "capture": "automatic"})).await;
    assert_eq!(amounts(&cash), json!(["captured", 500, 500, 0]));
    let too_much = new(&order, json!({"amount": 801}));
    server.post("/v1/payments", too_much).await.invalid(&["/amount exceeds"]);
    let transfer = pay(&server, &order, json!({"method": "bank_transfer"})).await;
    assert_eq!(transfer["amount"], 800, "what is left");
    server.post("/v1/payments", new(&order, json!({}))).await.refused(409, "invalid-state");
    // What is let go of can be paid in another way.
    let void = server.post(&format!("{}/void", path(&transfer)), Value::Null).await.expect(200);
    assert_eq!(amounts(&void), json!(["voided", 0, 0, 0]));
    let again = pay(&server, &order, json!({"capture": "automatic"})).await;
    assert_eq!(again["amount"], 800);
    assert_eq!(payment_status(&server, &order).await, "paid");

    let all = server.list(&format!("/v1/payments?order_id={}", order["id"].as_str().unwrap())).await;
    assert_eq!(each(&all, "id"), [&again["id"], &transfer["id"], &cash["id"]]);
    let voided = server.list("/v1/payments?status=voided&provider=manual").await;
    assert_eq!(each(&voided, "id"), [&transfer["id"]]);
    assert!(server.list("/v1/payments?expiring_before=2999-01-01T00:00:00Z").await.is_empty());
    server.assert_clean().await;
}

#[tokio::test]
async fn what_cannot_be_paid_is_refused_and_nothing_is_written() {
    let server = Server::start().await;
    server.shop(&[("TEA", 20)]).await;
    let order = order_of(&server, 1).await;
    let unpriced = server.order("TEA", 1).await;
    let cancelled = order_of(&server, 1).await;
    server.post(&format!("/v1/orders/{}/cancel", cancelled["number"]), json!({})).await.expect(200);
    eventually("it was seen to", || async {
        server.list("/v1/jobs?kind=payments_of_cancelled&status=done").await.len() == 1
    })
    .await;
    let before = server.row_counts().await;
    let refused = |body: Value| async { server.post("/v1/payments", body).await };
    refused(json!({"order_id": Uuid::nil(), "provider": "manual"})).await.invalid(&["/order_id unknown"]);
    refused(new(&unpriced, json!({}))).await.invalid(&["/order_id unpriced"]);
    refused(new(&order, json!({"provider": "stripe"}))).await.invalid(&["/provider unavailable"]);
    refused(new(&order, json!({"payment_method": "pm_card"}))).await.invalid(&["/payment_method unexpected"]);
    refused(new(&order, json!({"amount": 0, "method": "Über"}))).await.invalid(&["/amount minimum", "/method pattern"]);
    refused(new(&cancelled, json!({}))).await.refused(409, "invalid-state");
    let nobody = format!("/v1/payments/{}", Uuid::nil());
    server.get(&nobody).await.refused(404, "not-found");
    for what in ["capture", "refund"] {
        server.post(&format!("{nobody}/{what}"), json!({})).await.refused(404, "not-found");
    }
    server.post(&format!("{nobody}/void"), Value::Null).await.refused(404, "not-found");
    server.post("/v1/payments/webhooks/stripe", json!({})).await.refused(404, "not-found");
    assert_eq!(server.row_counts().await, before);

    let payment = pay(&server, &order, json!({})).await;
    let stale = server.request(Method::POST, &format!("{}/capture", path(&payment)));
    send(stale.header("if-match", "\"0\"").json(&json!({}))).await.refused(412, "precondition-failed");
    assert_eq!(read(&server, &payment).await, payment);
}

#[tokio::test]
async fn money_for_an_order_that_is_cancelled_is_let_go_of() {
    let server = Server::start().await;
    server.shop(&[("TEA", 20)]).await;
    let (promised, paid) = (order_of(&server, 1).await, order_of(&server, 1).await);
    let invoice = pay(&server, &promised, json!({})).await;
    let cash = pay(&server, &paid, json!({"method": "cash", "capture": "automatic"})).await;
    for order in [&promised, &paid] {
        server.post(&format!("/v1/orders/{}/cancel", order["number"]), json!({})).await.expect(200);
    }
    let voided = comes_to(&server, &invoice, json!(["voided", 0, 0, 0])).await;
    assert_eq!(voided["operations"][1]["reason"], "the order is cancelled");
    // That it was paid back is for somebody to say.
    eventually("somebody is asked to", || async { server.events("order.flagged").await.len() == 1 }).await;
    let flagged = &server.events("order.flagged").await[0]["data"];
    assert_eq!((&flagged["order_number"], &flagged["order_id"]), (&paid["number"], &paid["id"]));
    assert_eq!(amounts(&read(&server, &cash).await), json!(["captured", 650, 650, 0]));
    let refund = format!("{}/refund", path(&cash));
    server.post(&refund, json!({})).await.expect(200);
    assert_eq!(payment_status(&server, &paid).await, "refunded");
    server.assert_clean().await;
}

#[tokio::test]
async fn what_has_not_come_of_an_invoice_is_let_go_of() {
    let server = Server::start().await;
    server.shop(&[("TEA", 20)]).await;
    let (kept, cancelled) = (order_of(&server, 1).await, order_of(&server, 1).await);
    let (some, half) = (pay(&server, &kept, json!({})).await, pay(&server, &cancelled, json!({})).await);
    for payment in [&some, &half] {
        server.post(&format!("{}/capture", path(payment)), json!({"amount": 300})).await.expect(200);
    }
    // The rest is paid in another way.
    let void = format!("{}/void", path(&some));
    let voided = server.post(&void, Value::Null).await.expect(200);
    assert_eq!((amounts(&voided), &voided["operations"][2]["amount"]), (json!(["captured", 300, 300, 0]), &json!(350)));
    assert_eq!(server.events("payment.voided").await.len(), 1);
    server.post(&void, Value::Null).await.refused(409, "invalid-state");
    server.post(&format!("{}/capture", path(&some)), json!({})).await.refused(409, "invalid-state");
    let cash = pay(&server, &kept, json!({"method": "cash", "capture": "automatic"})).await;
    assert_eq!((&cash["amount"], payment_status(&server, &kept).await), (&json!(350), json!("paid")));

    server.post(&format!("/v1/orders/{}/cancel", cancelled["number"]), json!({})).await.expect(200);
    comes_to(&server, &half, json!(["captured", 300, 300, 0])).await;
    eventually("what came is to be paid back", || async {
        let told = server.events("order.flagged").await;
        told.iter().any(|event| event["data"].to_string().contains("300 EUR are to be paid back by hand"))
    })
    .await;
    server.post(&format!("{}/refund", path(&half)), json!({})).await.expect(200);
    assert_eq!(payment_status(&server, &cancelled).await, "refunded");
    server.assert_clean().await;
}

/// Whatever is asked by whom at the same time, no payment gives more than it has, and no order is paid twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amounts_stay_in_their_order_whatever_is_asked_at_once() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 100)]).await;
    let orders = join_all((0..3).map(|_| order_of(&servers[0], 2))).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let cashier = |n: u64| {
        let (server, orders) = (&servers[usize::try_from(n % 2).unwrap()], &orders);
        async move {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(n));
            for _ in 0..25 {
                let order = &orders[random.random_range(0..orders.len())];
                let amount = random.random_range(1..800i64);
                let known = server.list(&format!("/v1/payments?order_id={}", order["id"].as_str().unwrap())).await;
                let answer = match (random.random_range(0..4), known.is_empty()) {
                    (0, _) | (_, true) => server.post("/v1/payments", new(order, json!({"amount": amount}))).await,
                    (what, false) => {
                        let one = path(&known[random.random_range(0..known.len())]);
                        match what {
                            1 => server.post(&format!("{one}/capture"), json!({"amount": amount})).await,
                            2 => server.post(&format!("{one}/refund"), json!({"amount": amount})).await,
                            _ => server.post(&format!("{one}/void"), Value::Null).await,
                        }
                    }
                };
                assert!([200, 201, 409, 422].contains(&answer.status), "{}: {:?}", answer.status, answer.json);
            }
        }
    };
    join_all((0..6).map(cashier)).await;
    for order in &orders {
        let payments = servers[0].list(&format!("/v1/payments?order_id={}", order["id"].as_str().unwrap())).await;
        let sum = |member: &str| payments.iter().map(|payment| payment[member].as_i64().unwrap()).sum::<i64>();
        assert!(sum("authorised") - sum("refunded") <= 1300, "{payments:?}");
        for payment in &payments {
            let at = |member: &str| payment[member].as_i64().unwrap();
            assert!(at("amount") >= at("authorised") && at("authorised") >= at("captured"), "{payment}");
            assert!(at("captured") >= at("refunded") && at("refunded") >= 0, "{payment}");
        }
    }
    for server in &servers {
        server.assert_clean().await;
    }
}
