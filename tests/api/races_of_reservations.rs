//! Races over reservations: each ends once, whoever comes for it at the same moment.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::{join, join_all};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use stockhold::platform::clock::Timestamp;

use crate::harness::{Server, eventually};
use crate::races::{count, delete, finish, one, post, quantities};

/// Of each reservation that ended, the feed tells once.
async fn assert_each_ended_once(server: &Server) {
    let told = server.events("reservation.committed,reservation.released,reservation.expired").await;
    let mut ends: HashMap<&str, i64> = HashMap::new();
    for event in &told {
        *ends.entry(event["subject"].as_str().unwrap()).or_default() += 1;
    }
    let twice: Vec<_> = ends.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "ended more than once: {twice:?}");
    let ended = server.list("/v1/reservations?limit=200").await.into_iter().filter(|r| r["status"] != "active").count();
    assert_eq!(ends.len(), ended, "as many ends were told as there are");
}

/// Until this much before (negative) or after the reservation's time is over.
async fn around_expiry(reservation: &Value, offset_ms: i64) {
    let expires_at: Timestamp = serde_json::from_value(reservation["expires_at"].clone()).unwrap();
    let wait = (expires_at.0 - Timestamp::now().0).num_milliseconds() + offset_ms;
    tokio::time::sleep(Duration::from_millis(wait.max(0).unsigned_abs())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_its_expiry_a_reservation_is_either_committed_or_expired() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 100)]).await;
    // Made in tens, so that they do not all expire at one moment.
    let mut holds = Vec::new();
    for _ in 0..10 {
        let items = vec![json!({"lines": [{"sku": "TEA", "quantity": 1}], "ttl_seconds": 2}); 10];
        let made = post(&servers[0], "/v1/reservations/batch", json!({"items": items})).await.expect(200);
        holds.extend(made["results"].as_array().unwrap().iter().map(|result| result["body"].clone()));
    }
    let shoppers = holds.into_iter().enumerate().map(|(n, held)| {
        let servers = &servers;
        async move {
            around_expiry(&held, 10 * (n as i64 % 10) - 50).await;
            let answer = post(&servers[(n + 1) % 2], "/v1/orders", json!({"reservation_id": held["id"]})).await;
            (held, answer)
        }
    });
    let outcomes = join_all(shoppers).await;
    eventually("all have ended", || async { servers[0].level("TEA", "MAIN").await["reserved"] == 0 }).await;
    let mut committed = 0;
    for (held, answer) in outcomes {
        let path = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
        let now = servers[0].get(&path).await.expect(200);
        if answer.status == 201 {
            committed += 1;
            assert_eq!((&now["status"], &now["order_id"]), (&json!("committed"), &answer.json["id"]));
        } else {
            assert_eq!(answer.refused(409, "reservation-ended")["reservation_status"], "expired");
            assert_eq!((&now["status"], &now["order_id"]), (&json!("expired"), &json!(null)));
        }
    }
    assert_eq!(quantities(&servers[0], "TEA", ["allocated", "available"]).await, [committed, 100 - committed]);
    assert_eq!(servers[0].list("/v1/orders?limit=200").await.len() as i64, committed);
    eventually("the sweeper has told", || async {
        servers[0].events("reservation.expired").await.len() as i64 == 100 - committed
    })
    .await;
    assert_each_ended_once(&servers[0]).await;
    finish(servers).await;
}

/// Of those who order from a reservation that is being given up, nobody is told that somebody else has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_too_late_is_told_how_the_reservation_ended() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 100)]).await;
    let items = vec![one("TEA"); 100];
    let held = post(&servers[0], "/v1/reservations/batch", json!({"items": items})).await.expect(200);
    // Four calls each: as many at once as a server takes.
    let shoppers = stream::iter(held["results"].as_array().unwrap()).for_each_concurrent(24, |result| {
        let (servers, held) = (&servers, result["body"].clone());
        async move {
            let path = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
            let order = || post(&servers[0], "/v1/orders", json!({"reservation_id": held["id"]}));
            let (released, ordered) = join(delete(&servers[1], &path), join_all([order(), order(), order()])).await;
            let now = servers[0].get(&path).await.expect(200);
            let placed = ordered.iter().filter(|answer| answer.status == 201).count();
            let is_released = released.status == 204;
            assert_eq!(placed, usize::from(!is_released), "{} {now}", released.status);
            for answer in ordered.into_iter().filter(|answer| answer.status != 201) {
                assert_eq!(answer.refused(409, "reservation-ended")["reservation_status"], now["status"]);
            }
        }
    });
    shoppers.await;
    assert_each_ended_once(&servers[0]).await;
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_at_expiry_neither_loses_nor_doubles_stock() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 90), ("MUG", 90)]).await;
    let lines = |quantity: i64| json!([{"sku": "TEA", "quantity": quantity}, {"sku": "MUG", "quantity": quantity}]);
    let cart = |n: usize| json!({"owner": format!("cart-{n}"), "lines": lines(2), "ttl_seconds": 2});
    let items: Vec<Value> = (0..40).map(cart).collect();
    let held = post(&servers[0], "/v1/reservations/batch", json!({"items": items})).await.expect(200);
    // Together they want more than there is once they ask for a third.
    let shoppers = held["results"].as_array().unwrap().iter().enumerate().map(|(n, result)| {
        let (servers, held) = (&servers, result["body"].clone());
        async move {
            around_expiry(&held, 2 * (n as i64 - 20)).await;
            let replacing = json!({"owner": held["owner"], "lines": lines(3), "replace": held["id"]});
            (held, post(&servers[n % 2], "/v1/reservations", replacing).await)
        }
    });
    let outcomes = join_all(shoppers).await;
    eventually("what was not replaced has expired", || async {
        servers[0].list("/v1/reservations?status=active&limit=200").await.iter().all(|r| r["lines"][0]["quantity"] == 3)
    })
    .await;
    for (held, answer) in &outcomes {
        let path = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
        let now = servers[0].get(&path).await.expect(200);
        let ends: &[&str] = if answer.status == 201 { &["released", "expired"] } else { &["expired"] };
        assert!(ends.contains(&now["status"].as_str().unwrap()), "{now}");
    }
    let replaced = count(outcomes.into_iter().map(|(_, answer)| answer).collect(), 201, (409, "insufficient-stock"));
    assert!(replaced <= 30);
    for sku in ["TEA", "MUG"] {
        assert_eq!(quantities(&servers[0], sku, ["reserved", "available"]).await, [3 * replaced, 90 - 3 * replaced]);
    }
    eventually("the sweeper has told", || async {
        servers[0].events("reservation.released,reservation.expired").await.len() == 40
    })
    .await;
    assert_each_ended_once(&servers[0]).await;
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_released_or_committed_never_both() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 50)]).await;
    let shoppers = (0..50).map(|n| {
        let servers = &servers;
        async move {
            let held = post(&servers[n % 2], "/v1/reservations", one("TEA")).await.expect(201);
            let path = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
            let order = json!({"reservation_id": held["id"]});
            join(delete(&servers[0], &path), post(&servers[1], "/v1/orders", order)).await
        }
    });
    let mut sold = 0;
    for (release, order) in join_all(shoppers).await {
        if order.status == 201 {
            sold += 1;
            release.refused(409, "reservation-ended");
        } else {
            order.refused(409, "reservation-ended");
            release.expect(204);
        }
    }
    assert_eq!(quantities(&servers[0], "TEA", ["reserved", "allocated", "available"]).await, [0, sold, 50 - sold]);
    assert_each_ended_once(&servers[0]).await;
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_one_reservation_it_ends_once() {
    let servers = Server::pair().await;
    servers[0].shop(&[]).await;
    servers[0].warehouse("OTHER").await;
    let skus = ["A", "B", "C", "D"];
    for sku in skus {
        servers[0].product(sku).await;
        servers[0].stock(sku, "MAIN", 100).await;
        servers[0].stock(sku, "OTHER", 100).await;
    }
    let lines: Vec<Value> = skus.iter().map(|sku| json!({"sku": sku, "quantity": 2})).collect();
    let from = |code: &str| -> Vec<Value> {
        skus.iter().map(|sku| json!({"sku": sku, "quantity": 1, "warehouse": code})).collect()
    };
    let wide = [from("OTHER"), from("MAIN"), lines].concat();
    let shoppers = (0..12).map(|n| {
        let (servers, wide) = (&servers, &wide);
        async move {
            let body = json!({"owner": format!("cart-{n}"), "lines": wide});
            let held = post(&servers[0], "/v1/reservations", body.clone()).await.expect(201);
            let path = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
            let mut replacing = body;
            replacing["replace"] = held["id"].clone();
            let extend = format!("{path}/extend");
            let extensions = join_all((0..3).map(|m| post(&servers[m % 2], &extend, json!({"ttl_seconds": 1000 + m}))));
            let ends = join(delete(&servers[1], &path), post(&servers[0], "/v1/reservations", replacing));
            let (extensions, (release, replace)) = join(extensions, ends).await;
            count(extensions, 200, (409, "reservation-ended"));
            release.expect(204);
            replace.expect(201);
        }
    });
    join_all(shoppers).await;
    for sku in skus {
        assert_eq!(quantities(&servers[0], sku, ["reserved"]).await, [12 * 4]);
    }
    assert_each_ended_once(&servers[0]).await;
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_gets_no_more_holds_by_asking_all_at_once() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 1000)]).await;
    let cart = json!({"owner": "ada", "lines": [{"sku": "TEA", "quantity": 1}]});
    post(&servers[0], "/v1/reservations/batch", json!({"items": vec![cart.clone(); 90]})).await.expect(200);
    let asking = (0..30).map(|n| post(&servers[n % 2], "/v1/reservations", cart.clone()));
    assert_eq!(count(join_all(asking).await, 201, (409, "too-many-holds")), 10);
    finish(servers).await;
}

/// The check itself must not be fooled by what goes on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_self_check_holds_at_every_moment() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 30)]).await;
    let shopping = async {
        let shoppers = (0..30).map(|n| {
            let servers = &servers;
            async move {
                for round in 0..4 {
                    // Short-lived holds on all there is: every sale has to sweep.
                    let body = json!({"lines": [{"sku": "TEA", "quantity": 3}], "ttl_seconds": 1});
                    tokio::time::sleep(Duration::from_millis(17 * (n as u64) % 100)).await;
                    let answer = post(&servers[(n + round) % 2], "/v1/reservations", body).await;
                    if answer.status != 201 {
                        answer.refused(409, "insufficient-stock");
                        tokio::time::sleep(Duration::from_millis(150)).await;
                    }
                }
            }
        });
        join_all(shoppers).await
    };
    let checking = async {
        for _ in 0..60 {
            servers[1].assert_clean().await;
        }
    };
    join(shopping, checking).await;
    finish(servers).await;
}
