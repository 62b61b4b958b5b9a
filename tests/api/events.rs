//! The feed: everything, once, in order.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Server, each};

/// One page of the feed, once all that was written is final.
async fn feed(server: &Server, query: &str) -> (Vec<Value>, String) {
    server.events("").await;
    page(server, query).await
}

async fn page(server: &Server, query: &str) -> (Vec<Value>, String) {
    let page = server.get(&format!("/v1/events?{query}")).await.expect(200);
    (page["items"].as_array().unwrap().clone(), page["next_cursor"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_event_is_a_cloudevent() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let event = server.events("stock.level_changed").await[0].clone();
    assert_eq!((&event["specversion"], &event["source"]), (&json!("1.0"), &json!("/stockhold")));
    assert_eq!(event["subject"], "products/TEA");
    assert_eq!((&event["data"]["before"]["on_hand"], &event["data"]["after"]["on_hand"]), (&json!(0), &json!(5)));
    assert_eq!((&event["data"]["before"]["available"], &event["data"]["after"]["available"]), (&json!(0), &json!(5)));
    assert!(event["id"].is_string() && event["time"].is_string());
    server.assert_clean().await;
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_stopped() {
    let server = Server::start().await;
    for sku in ["A", "B", "C"] {
        server.product(sku).await;
    }
    let (first, cursor) = feed(&server, "limit=2").await;
    assert_eq!(each(&first, "subject"), ["products/A", "products/B"]);
    let (second, cursor) = feed(&server, &format!("limit=2&after={cursor}")).await;
    assert_eq!(each(&second, "subject"), ["products/C"]);
    let (none, cursor) = feed(&server, &format!("after={cursor}")).await;
    assert!(none.is_empty());
    server.product("D").await;
    let (new, _) = feed(&server, &format!("after={cursor}")).await;
    assert_eq!(each(&new, "subject"), ["products/D"]);
    let all = server.events("").await;
    let sequences = each(&all, "sequence");
    assert!(sequences.is_sorted_by(|a, b| a.as_str() < b.as_str()), "{sequences:?}");
    server.get("/v1/events?after=nonsense").await.refused(400, "invalid-cursor");
    server.get("/v1/events?limit=201").await.invalid(&["/query/limit maximum"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn types_are_filtered_and_the_cursor_passes_what_is_left_out() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5), ("MUG", 5)]).await;
    server.delete("/v1/products/NONE").await.refused(404, "not-found");
    let (created, cursor) = feed(&server, "type=product.created").await;
    assert_eq!(each(&created, "subject"), ["products/TEA", "products/MUG"]);
    let (none, _) = feed(&server, &format!("after={cursor}")).await;
    assert!(none.is_empty(), "the cursor is behind all that was looked at: {none:?}");
    let (both, _) = feed(&server, "type=product.created,%20stock.level_changed").await;
    assert_eq!(both.len(), 4);
    assert!(feed(&server, "type=nothing.of.ours").await.0.is_empty());
    server.assert_clean().await;
}

/// What was refused or rolled back never shows.
#[tokio::test]
async fn nothing_is_told_that_did_not_happen() {
    let server = Server::start().await;
    server.shop(&[("TEA", 1)]).await;
    let before = server.events("").await.len();
    let lines = json!([{"sku": "TEA", "quantity": 2}]);
    server.post("/v1/reservations", json!({"lines": lines})).await.refused(409, "insufficient-stock");
    server.post_once("/v1/orders", "key", json!({"lines": lines})).await.refused(409, "insufficient-stock");
    server.post("/v1/products", json!({"sku": "TEA", "name": "again"})).await.refused(409, "already-exists");
    assert_eq!(server.events("").await.len(), before);
    server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_beside_many_writers_misses_nothing_and_sees_nothing_twice() {
    const WRITERS: usize = 8;
    const WRITES: usize = 20;
    let [first, second] = Server::pair().await;
    first.shop(&[]).await;
    for writer in 0..WRITERS {
        first.product(&format!("P-{writer}")).await;
    }
    let (_, start) = feed(&first, "limit=200").await;
    let before = first.events_written("").await;
    let servers = Arc::new([first, second]);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let servers = servers.clone();
        writers.spawn(async move {
            for n in 0..WRITES {
                // Every second one also touches the neighbour's product, so that transactions wait for each other.
                let server = &servers[n % 2];
                let item = |p: usize| json!({"sku": format!("P-{}", p % WRITERS), "warehouse": "MAIN", "change": 1, "reason": "found"});
                let items = if n % 2 == 0 { vec![item(writer)] } else { vec![item(writer + 1), item(writer)] };
                server.post("/v1/stock/adjustments/batch", json!({"items": items})).await.expect(200);
            }
        });
    }
    let mut seen: Vec<Value> = Vec::new();
    let mut cursor = start;
    loop {
        let (items, next) = page(&servers[seen.len() % 2], &format!("limit=7&after={cursor}")).await;
        cursor = next;
        if items.is_empty() && writers.is_empty() && before + seen.len() >= servers[0].events_written("").await {
            break;
        }
        seen.extend(items);
        while let Some(ended) = writers.try_join_next() {
            ended.unwrap();
        }
    }
    let mut last: HashMap<&str, i64> = HashMap::new();
    for event in seen.iter().filter(|event| event["type"] == "stock.level_changed") {
        let before = event["data"]["before"]["on_hand"].as_i64().unwrap();
        let known = last.entry(event["subject"].as_str().unwrap()).or_default();
        assert_eq!(*known, before, "an event is missing, doubled or out of order: {event}");
        *known = event["data"]["after"]["on_hand"].as_i64().unwrap();
    }
    let total: i64 = last.values().sum();
    assert_eq!(total, (WRITERS * WRITES + WRITERS * WRITES / 2) as i64);
    let mut sequences = each(&seen, "sequence");
    let count = sequences.len();
    sequences.dedup();
    assert_eq!(sequences.len(), count);
    servers[0].assert_clean().await;
}
