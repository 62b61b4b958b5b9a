//! Calls that are carried out together are answered as they would be one by one.

use std::collections::HashMap;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use stockhold::platform::clock::Timestamp;

use crate::harness::{Answer, Server, send};

/// All at once, so that most of them wait for the first.
async fn at_once(
    server: &Server,
    calls: impl IntoIterator<Item = (Method, String, Option<String>, Value)>,
) -> Vec<Answer> {
    join_all(calls.into_iter().map(|(method, path, key, body)| {
        let mut request = server.request(method, &path).json(&body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        send(request)
    }))
    .await
}

fn reserve(body: Value) -> (Method, String, Option<String>, Value) {
    (Method::POST, "/v1/reservations".to_owned(), None, body)
}

fn one(sku: &str) -> Value {
    json!({"lines": [{"sku": sku, "quantity": 1}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_crowd_has_its_own_answer() {
    let server = Server::start().await;
    server.shop(&[("TEA", 20), ("MUG", 1000)]).await;
    let before = accompanied(&server).await;
    // Of every four, one is for what runs out, one cannot be met, one is not valid, one is for plenty.
    let bodies = (0..200).map(|n| match n % 4 {
        0 => one("TEA"),
        1 => one("NONE"),
        2 => json!({"lines": [{"sku": "MUG", "quantity": 1, "warehouse": "NOWHERE"}]}),
        _ => json!({"lines": [{"sku": "MUG", "quantity": 2}], "reference": format!("n{n}")}),
    });
    let answers = at_once(&server, bodies.map(reserve)).await;
    let mut teas = 0;
    for (n, answer) in answers.into_iter().enumerate() {
        match n % 4 {
            0 if answer.status == 201 => teas += 1,
            0 => {
                let shortages = answer.refused(409, "insufficient-stock")["shortages"].clone();
                assert_eq!(shortages[0]["available"], 0, "the last unit goes to whoever came before");
            }
            1 => answer.invalid(&["/lines/0/sku unknown"]),
            2 => answer.invalid(&["/lines/0/warehouse unknown"]),
            _ => {
                let etag = answer.header("etag").map(str::to_owned);
                let made = answer.expect(201);
                assert_eq!(made["reference"], format!("n{n}"), "one's own answer");
                let path = format!("/v1/reservations/{}", made["id"].as_str().unwrap());
                let read = server.get(&path).await;
                assert_eq!(read.header("etag").map(str::to_owned), etag, "as it is read later");
                assert_eq!(read.expect(200), made);
            }
        }
    }
    assert_eq!((teas, server.available("TEA").await, server.available("MUG").await), (20, 0, 900));
    assert_eq!(server.events("reservation.created").await.len(), 70);
    assert!(accompanied(&server).await >= before + 100.0, "a crowd is carried out together");
    server.assert_clean().await;
}

/// How many calls went with another, in all servers of this process.
async fn accompanied(server: &Server) -> f64 {
    let text = send(server.request(Method::GET, "/metrics")).await;
    let text = String::from_utf8(text.bytes).unwrap();
    let number = |what: &str| -> f64 {
        let name = format!("stockhold_batch_items_{what}{{queue=\"reserve\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0.0)
    };
    number("sum") - number("count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_has_one_effect_in_a_crowd() {
    let server = Server::start().await;
    server.shop(&[("TEA", 1000)]).await;
    let call = |n: usize| {
        let (method, path, _, body) = reserve(one("TEA"));
        (method, path, Some(format!("key-{}", n % 10)), body)
    };
    let answers = at_once(&server, (0..100).map(call)).await;
    let mut by_key: HashMap<usize, Value> = HashMap::new();
    for (n, answer) in answers.into_iter().enumerate() {
        if answer.status == 409 {
            answer.refused(409, "idempotency-in-progress");
            continue;
        }
        let made = answer.expect(201);
        assert_eq!(by_key.entry(n % 10).or_insert_with(|| made.clone()), &made, "one effect, one answer");
    }
    assert_eq!((by_key.len(), server.available("TEA").await), (10, 990));
    for n in 0..10 {
        let again = server.post_once("/v1/reservations", &format!("key-{n}"), one("TEA")).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.expect(201), by_key[&n]);
        let other = json!({"lines": [{"sku": "TEA", "quantity": 2}]});
        server.post_once("/v1/reservations", &format!("key-{n}"), other).await.refused(422, "idempotency-key-reused");
    }
    let audit = server.list("/v1/audit?operation=POST%20%2Fv1%2Freservations&limit=200").await;
    assert_eq!(audit.len(), 10, "a row of the audit trail for each");
    server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_in_a_crowd_is_kept_under_its_key() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let call = |n: usize| {
        let (method, path, _, body) = reserve(one("TEA"));
        (method, path, Some(format!("key-{n}")), body)
    };
    let answers = at_once(&server, (0..40).map(call)).await;
    let refused: Vec<usize> = (0..40).filter(|n| answers[*n].status == 409).collect();
    assert_eq!(refused.len(), 35);
    server.stock("TEA", "MAIN", 100).await;
    for n in refused {
        let again = server.post_once("/v1/reservations", &format!("key-{n}"), one("TEA")).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (409, Some("true")), "the answer stands");
    }
    server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reservations_are_ordered_extended_and_released_in_a_crowd() {
    let server = Server::start().await;
    server.shop(&[("TEA", 100), ("MUG", 100)]).await;
    let both = json!({"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "MUG", "quantity": 1}], "ttl_seconds": 60});
    let made = at_once(&server, (0..40).map(|_| reserve(both.clone()))).await;
    let ids: Vec<String> = made.into_iter().map(|made| made.expect(201)["id"].as_str().unwrap().to_owned()).collect();
    // Each is ordered twice, extended and released, all at once: one of the ends wins, and an order is as it will be read.
    let calls = ids.iter().flat_map(|id| {
        let order = (Method::POST, "/v1/orders".to_owned(), None, json!({ "reservation_id": id }));
        let extend = (Method::POST, format!("/v1/reservations/{id}/extend"), None, json!({"ttl_seconds": 600}));
        let release = (Method::DELETE, format!("/v1/reservations/{id}"), None, Value::Null);
        [order.clone(), extend, release, order]
    });
    let answers = at_once(&server, calls).await;
    let mut ordered = 0;
    for (four, id) in answers.chunks(4).zip(&ids) {
        let [one, extended, released, two] = four else { panic!("four calls each") };
        let orders: Vec<&Answer> = [one, two].into_iter().filter(|order| order.status == 201).collect();
        assert!(orders.len() <= 1, "a reservation is sold once");
        assert_eq!(released.status == 204, orders.is_empty(), "it ends once");
        assert!([200, 409].contains(&extended.status), "{extended:?}");
        if let [order] = orders[..] {
            ordered += 1;
            let read = server.get(&format!("/v1/orders/{}", order.json["id"].as_str().unwrap())).await;
            assert_eq!(read.header("etag"), order.header("etag"), "as it is read later");
            assert_eq!(read.json, order.json);
            assert_eq!(order.json["reservation_id"], **id);
        }
    }
    for sku in ["TEA", "MUG"] {
        let level = server.level(sku, "MAIN").await;
        assert_eq!((&level["reserved"], &level["allocated"]), (&json!(0), &json!(ordered)));
    }
    assert_eq!(server.events("order.placed").await.len(), ordered);
    server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_extensions_at_once_none_is_cut_short() {
    let server = Server::start().await;
    server.shop(&[("TEA", 1), ("MUG", 1)]).await;
    let both = json!({"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "MUG", "quantity": 1}], "ttl_seconds": 60});
    let made = server.reserve(both).await;
    let path = format!("/v1/reservations/{}/extend", made["id"].as_str().unwrap());
    let begun: Timestamp = serde_json::from_value(made["created_at"].clone()).unwrap();
    let calls = (0..60).map(|n| (Method::POST, path.clone(), None, json!({"ttl_seconds": 100 * (1 + n * 7 % 60)})));
    let answers = at_once(&server, calls).await;
    for (n, answer) in answers.into_iter().enumerate() {
        let until: Timestamp = serde_json::from_value(answer.expect(200)["expires_at"].clone()).unwrap();
        let lives = (until.0 - begun.0).num_seconds();
        assert!(lives >= 100 * (1 + n as i64 * 7 % 60), "it lives {lives} s");
    }
    server.assert_clean().await;
}
