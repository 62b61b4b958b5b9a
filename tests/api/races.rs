//! Races between two servers on one database. The bar is exact: sold = stock, nothing oversold, nothing
//! ends twice, no deadlock, no failure of the server.
//!
//! On a machine too slow for the crowd, a server may ask to repeat a request in a moment (503). Everybody
//! here does, as clients should; a request turned away like that must not have had any effect.

use futures::future::{join, join_all};
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::harness::{Answer, Server, assert_no_deadlocks, each, eventually};

pub fn one(sku: &str) -> Value {
    json!({"lines": [{"sku": sku, "quantity": 1}]})
}

/// Sends until the server has time for it.
pub async fn insist<F: Future<Output = Answer>>(send: impl Fn() -> F) -> Answer {
    loop {
        let answer = send().await;
        if answer.status != 503 {
            return answer;
        }
        assert_eq!(answer.header("retry-after"), Some("1"));
        answer.refused(503, "unavailable");
    }
}

pub async fn post(server: &Server, path: &str, body: Value) -> Answer {
    insist(|| server.post(path, body.clone())).await
}

pub async fn delete(server: &Server, path: &str) -> Answer {
    insist(|| server.delete(path)).await
}

/// How many answered with this status; all others must be refusals of that kind.
#[track_caller]
pub fn count(answers: Vec<Answer>, status: u16, refusal: (u16, &str)) -> i64 {
    let (done, others): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|a| a.status == status);
    for other in others {
        other.refused(refusal.0, refusal.1);
    }
    done.len() as i64
}

pub async fn quantities<const N: usize>(server: &Server, sku: &str, of: [&str; N]) -> [i64; N] {
    let stock = server.get(&format!("/v1/stock/{sku}")).await.expect(200);
    of.map(|name| stock[name].as_i64().unwrap())
}

pub async fn finish(servers: [Server; 2]) {
    servers[0].assert_clean().await;
    assert_no_deadlocks(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_fifty_go_to_fifty_of_two_hundred() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 50)]).await;
    let buyers = (0..200).map(|n| {
        let path = if n % 4 < 2 { "/v1/reservations" } else { "/v1/orders" };
        post(&servers[n % 2], path, one("TEA"))
    });
    assert_eq!(count(join_all(buyers).await, 201, (409, "insufficient-stock")), 50);
    let [on_hand, reserved, allocated, available] =
        quantities(&servers[0], "TEA", ["on_hand", "reserved", "allocated", "available"]).await;
    assert_eq!((on_hand, reserved + allocated, available), (50, 50, 0));
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lines_of_one_product_count_together() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 50)]).await;
    let lines = json!({"lines": [{"sku": "TEA", "quantity": 3}, {"sku": "TEA", "quantity": 2}]});
    let buyers = (0..40).map(|n| post(&servers[n % 2], "/v1/orders", lines.clone()));
    assert_eq!(count(join_all(buyers).await, 201, (409, "insufficient-stock")), 10);
    assert_eq!(quantities(&servers[0], "TEA", ["allocated", "available"]).await, [50, 0]);
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_name_the_same_products_in_any_order_do_not_block_each_other() {
    let servers = Server::pair().await;
    let skus: Vec<String> = (0..8).map(|n| format!("P-{n}")).collect();
    servers[0].shop(&[]).await;
    for sku in &skus {
        servers[0].backorderable(sku, 10).await;
        servers[0].stock(sku, "MAIN", 25).await;
    }
    let shoppers = (0..32).map(|n| {
        let (servers, skus) = (&servers, &skus);
        async move {
            let mut chosen: Vec<&String> = skus.sample(&mut rand::rng(), 5).collect();
            chosen.shuffle(&mut rand::rng());
            let lines: Vec<Value> = chosen.iter().map(|sku| json!({"sku": sku, "quantity": 1})).collect();
            let adjustments: Vec<Value> = chosen
                .iter()
                .rev()
                .map(|sku| json!({"sku": sku, "warehouse": "MAIN", "change": 1, "reason": "found"}))
                .collect();
            let [here, there] = [&servers[n % 2], &servers[(n + 1) % 2]];
            let found = post(here, "/v1/stock/adjustments/batch", json!({"items": adjustments}));
            let (order, found) = join(post(there, "/v1/orders", json!({"lines": lines})), found).await;
            found.expect(200);
            let order = order.expect(201);
            let number = &order["number"];
            match n % 3 {
                0 => post(here, &format!("/v1/orders/{number}/cancel"), json!({})).await.expect(200),
                1 => post(here, &format!("/v1/orders/{number}/shipments"), json!({"warehouse": "MAIN"}))
                    .await
                    .expect(201),
                _ => Value::Null,
            };
        }
    });
    join_all(shoppers).await;
    let orders = servers[0].list("/v1/orders?limit=200").await;
    assert_eq!(orders.len(), 32);
    let mut numbers = each(&orders, "number");
    numbers.dedup();
    assert_eq!(numbers.len(), 32);
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_idempotency_key_has_one_effect() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 100)]).await;
    for (path, body) in [
        ("/v1/orders", one("TEA")),
        ("/v1/reservations", one("TEA")),
        ("/v1/stock/adjustments", json!({"sku": "TEA", "warehouse": "MAIN", "change": 7, "reason": "found"})),
    ] {
        let clients = (0..20).map(|n| {
            let (server, body) = (&servers[n % 2], &body);
            async move {
                loop {
                    let answer = insist(|| server.post_once(path, "the-key", body.clone())).await;
                    if answer.status == 201 {
                        return answer.bytes;
                    }
                    answer.refused(409, "idempotency-in-progress");
                }
            }
        });
        // Each address has a key of its own, for the key belongs to one request.
        let path_key = join_all(clients).await;
        assert!(path_key.iter().all(|bytes| *bytes == path_key[0]), "{path}: all get the first answer");
        servers[0].sql("DELETE FROM platform.idempotency").await.unwrap();
    }
    assert_eq!(quantities(&servers[0], "TEA", ["on_hand", "reserved", "allocated"]).await, [107, 1, 1]);
    assert_eq!(servers[0].list("/v1/orders").await.len(), 1);
    assert_eq!(servers[0].list("/v1/reservations").await.len(), 1);
    assert_eq!(servers[0].list("/v1/stock/movements").await.len(), 2);
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_away_cannot_be_sold_too() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 60)]).await;
    let lost = json!({"sku": "TEA", "warehouse": "MAIN", "change": -1, "reason": "lost"});
    let losses = (0..40).map(|n| post(&servers[n % 2], "/v1/stock/adjustments", lost.clone()));
    let buyers = (0..60).map(|n| post(&servers[n % 2], "/v1/reservations", one("TEA")));
    let (losses, buyers) = join(join_all(losses), join_all(buyers)).await;
    let lost = count(losses, 201, (409, "insufficient-stock"));
    let held = count(buyers, 201, (409, "insufficient-stock"));
    assert_eq!(lost + held, 60);
    assert_eq!(quantities(&servers[0], "TEA", ["on_hand", "reserved", "available"]).await, [60 - lost, held, 0]);
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_promised_beyond_stock_than_the_limit() {
    let servers = Server::pair().await;
    servers[0].shop(&[]).await;
    servers[0].backorderable("TEA", 20).await;
    servers[0].stock("TEA", "MAIN", 5).await;
    let buyers = (0..60).map(|n| {
        let path = if n % 3 == 0 { "/v1/reservations" } else { "/v1/orders" };
        post(&servers[n % 2], path, one("TEA"))
    });
    assert_eq!(count(join_all(buyers).await, 201, (409, "insufficient-stock")), 25);
    assert_eq!(quantities(&servers[0], "TEA", ["available", "backordered"]).await, [0, 20]);
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_arrives_in_a_warehouse_or_it_is_deleted() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 20)]).await;
    for n in 0..10 {
        let code = format!("W-{n}");
        servers[0].warehouse(&code).await;
        let body = json!({"from": "MAIN", "to": code, "lines": [{"sku": "TEA", "quantity": 1}]});
        let transfer = post(&servers[0], "/v1/transfers", body).await.expect(201)["id"].as_str().unwrap().to_owned();
        let (path, ship) = (format!("/v1/warehouses/{code}"), format!("/v1/transfers/{transfer}/ship"));
        let found = json!({"sku": "TEA", "warehouse": code, "change": 1, "reason": "found"});
        let arriving = join(post(&servers[1], "/v1/stock/adjustments", found), post(&servers[0], &ship, json!({})));
        let (deleted, (found, sent)) = join(delete(&servers[0], &path), arriving).await;
        if deleted.status == 204 {
            found.invalid(&["/warehouse unknown"]);
            sent.refused(409, "invalid-state");
            servers[0].get(&path).await.refused(404, "not-found");
        } else {
            deleted.refused(409, "in-use");
            found.expect(201);
            sent.expect(200);
        }
    }
    finish(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_is_stocked_or_deleted_and_a_barcode_given_once() {
    let servers = Server::pair().await;
    servers[0].shop(&[]).await;
    for n in 0..10 {
        let (sku, barcode) = (format!("P-{n}"), format!("CODE-{n}"));
        servers[0].product(&sku).await;
        let found = json!({"sku": sku, "warehouse": "MAIN", "change": 1, "reason": "found"});
        let path = format!("/v1/products/{sku}");
        let (deleted, found) =
            join(delete(&servers[0], &path), post(&servers[1], "/v1/stock/adjustments", found)).await;
        if deleted.status == 204 {
            found.invalid(&["/sku unknown"]);
        } else {
            deleted.refused(409, "in-use");
            found.expect(201);
        }
        let create = |m: usize| json!({"sku": format!("B-{n}-{m}"), "name": "b", "barcodes": [barcode]});
        let created = join_all((0..4).map(|m| post(&servers[m % 2], "/v1/products", create(m)))).await;
        assert_eq!(count(created, 201, (409, "already-exists")), 1);
        let same = json!({"sku": format!("S-{n}"), "name": "s"});
        let created = join_all((0..4).map(|m| post(&servers[m % 2], "/v1/products", same.clone()))).await;
        assert_eq!(count(created, 201, (409, "already-exists")), 1);
    }
    finish(servers).await;
}

/// Somebody commits an answer under the key after this call has looked for one: it is told that answer, and does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_committed_meanwhile_stands() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    for (path, body) in [
        ("/v1/reservations", json!({"lines": [{"sku": "TEA", "quantity": 1}]})),
        ("/v1/orders", json!({"lines": [{"sku": "TEA", "quantity": 1}]})),
    ] {
        let first = server.post_once(path, "key", body.clone()).await.expect(201);
        let available = server.available("TEA").await;
        server.sql("CREATE TABLE answers AS SELECT * FROM platform.idempotency").await.unwrap();
        server.sql("DELETE FROM platform.idempotency").await.unwrap();
        let mut owner = server.app.db.owner_conn().await.unwrap();
        let mut tx = owner.begin().await.unwrap();
        sqlx::query("INSERT INTO platform.idempotency SELECT * FROM answers").execute(&mut *tx).await.unwrap();
        let waits = async {
            let waiting = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
            eventually("the call waits for the answer", || async { server.text(waiting).await == "1\n" }).await;
            tx.commit().await.unwrap();
        };
        let (again, ()) = futures::join!(server.post_once(path, "key", body), waits);
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
        assert_eq!(again.expect(201)["id"], first["id"]);
        assert_eq!(server.available("TEA").await, available);
        server.sql("DROP TABLE answers; DELETE FROM platform.idempotency").await.unwrap();
    }
    server.assert_clean().await;
}

/// Keys are taken before products are locked, so that who repeats a call on another server does not find out when everything
/// is to be written, and in vain for all that are carried out together.
#[tokio::test]
async fn a_call_that_waits_has_its_key() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 10)]).await;
    let mut tx = servers[0].app.db.begin().await.unwrap();
    sqlx::query("SELECT FROM inventory.products FOR UPDATE").execute(&mut *tx).await.unwrap();
    let waiting =
        "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let waits = async {
        eventually("both wait for the product", || async { servers[0].text(waiting).await == "2\n" }).await;
        tx.rollback().await.unwrap();
    };
    let call = |server: usize| servers[server].post_once("/v1/reservations", "key", one("TEA"));
    let (first, second, ()) = futures::join!(call(0), call(1), waits);
    let (made, refused) = if first.status == 201 { (first, second) } else { (second, first) };
    refused.refused(409, "idempotency-in-progress");
    let again = servers[1].post_once("/v1/reservations", "key", one("TEA")).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.bytes, made.bytes);
    finish(servers).await;
}
