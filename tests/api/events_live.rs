//! The feed as it happens: streams, snapshots, and what happens to cursors.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use stockhold::config::Config;
use stockhold::platform::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::harness::{ADMIN_KEY, DEADLINE, Server, assert_no_deadlocks, each, eventually};

/// One who follows, as an EventSource does.
struct Follower {
    response: Response,
    text: String,
    /// Of the last event or heartbeat
    id: String,
}

impl Follower {
    async fn of(server: &Server, query: &str, last: Option<&str>) -> Self {
        let mut request = server.request(Method::GET, &format!("/v1/events/stream?{query}"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new(), id: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((one, rest)) = self.text.split_once("\n\n") {
                let (one, rest) = (one.to_owned(), rest.to_owned());
                self.text = rest;
                for line in one.lines() {
                    if let Some(id) = line.strip_prefix("id: ") {
                        self.id = id.to_owned();
                    } else if let Some(data) = line.strip_prefix("data: ") {
                        return Some(serde_json::from_str(data).unwrap());
                    }
                }
                continue;
            }
            let piece = tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("something comes");
            self.text += std::str::from_utf8(&piece.ok()??).unwrap();
        }
    }

    async fn take(&mut self, many: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < many {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }
}

#[tokio::test]
async fn events_are_filtered_by_subject_warehouse_and_channel() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5), ("MUG", 5)]).await;
    server.warehouse("LEEDS").await;
    server.stock("TEA", "LEEDS", 1).await;
    server.channel("web", &[("LEEDS", 0)]).await;
    let body = json!({"lines": [{"sku": "TEA", "quantity": 1}], "channel": "web"});
    server.post("/v1/orders", body).await.expect(201);
    let all = server.events("").await;
    let read = async |filter: &str| {
        let feed = server.get(&format!("/v1/events?limit=200&{filter}")).await.expect(200);
        let types: Vec<String> =
            each(feed["items"].as_array().unwrap(), "type").iter().map(ToString::to_string).collect();
        types.join(" ").replace('"', "")
    };
    assert_eq!(read("subject=products/MUG").await, "product.created stock.level_changed stock.state_changed");
    assert_eq!(
        read("warehouse=LEEDS&type=stock.*,order.*").await,
        "stock.level_changed stock.level_changed order.placed"
    );
    assert_eq!(read("channel=web").await, "channel.created order.placed");
    assert_eq!(read("channel=web&type=stock.*").await, "");
    assert_eq!(read("type=*").await.split(' ').count(), all.len());
    server.get("/v1/events?warehous=LEEDS").await.invalid(&["/query/warehous unknown_field"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_reader_far_behind_a_narrow_filter_goes_on_page_by_page() {
    let server = Server::start().await;
    server.shop(&[("TEA", 0)]).await;
    server.product("MUG").await;
    for _ in 0..3 {
        let items: Vec<Value> =
            (0..700).map(|_| json!({"sku": "TEA", "warehouse": "MAIN", "change": 1, "reason": "found"})).collect();
        server.post("/v1/stock/adjustments/batch", json!({"items": items})).await.expect(200);
    }
    server.stock("MUG", "MAIN", 1).await;
    server.events("").await;
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let feed = server.get(&format!("/v1/events?limit=1&subject=products/MUG{after}")).await.expect(200);
        found.extend(feed["items"].as_array().unwrap().iter().cloned());
        after = format!("&after={}", feed["next_cursor"].as_str().unwrap());
        if feed["has_more"] == false {
            break;
        }
    }
    assert_eq!(each(&found, "type"), ["product.created", "stock.level_changed", "stock.state_changed"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_stream_tells_what_happens_at_any_server_and_goes_on_after_the_last_id() {
    let [first, second] = Server::pair().await;
    first.shop(&[]).await;
    let mut follower = Follower::of(&second, "type=product.*,stock.level_changed", None).await;
    first.product("TEA").await;
    first.stock("TEA", "MAIN", 3).await;
    second.stock("TEA", "MAIN", 4).await;
    let seen = follower.take(2).await;
    assert_eq!(each(&seen, "type"), ["product.created", "stock.level_changed"]);
    let id = follower.id.clone();
    drop(follower);
    second.stock("TEA", "MAIN", 5).await;
    // What was missed comes first, then what is new; `after` is for those who cannot set a header.
    for (query, last) in
        [("type=stock.level_changed", Some(id.as_str())), (&*format!("type=stock.level_changed&after={id}"), None)]
    {
        let mut again = Follower::of(&first, query, last).await;
        let seen = again.take(2).await;
        let after: Vec<&Value> = seen.iter().map(|event| &event["data"]["after"]["on_hand"]).collect();
        if last.is_some() {
            assert_eq!(after, [7, 12]);
        }
        first.stock("TEA", "MAIN", 1).await;
        let next = loop {
            let next = again.next().await.unwrap();
            if next["data"]["before"]["on_hand"].as_i64() >= Some(12) {
                break next;
            }
        };
        assert_eq!(next["type"], "stock.level_changed");
    }
    // The same events as in the feed.
    let feed = first.events("").await;
    let mut all = Follower::of(&second, "", Some(&follower_start(&first).await)).await;
    assert_eq!(all.take(feed.len()).await, feed);
    first.get("/v1/events/stream?after=nonsense").await.refused(400, "invalid-cursor");
    // A server that stops ends its streams.
    let mut last = Follower::of(&first, "", None).await;
    assert_no_deadlocks([first, second]).await;
    while last.next().await.is_some() {}
}

/// A cursor of before everything.
/// As browsers ask for it: the same, in fewer bytes, each event as soon as it comes, and an end that gzip can check.
#[tokio::test]
async fn a_stream_is_packed_for_who_takes_that() {
    let server = Server::start().await;
    server.shop(&[]).await;
    let skus: Vec<String> = (0..30).map(|n| format!("TEA-{n}")).collect();
    for sku in &skus {
        server.product(sku).await;
    }
    let query = "type=stock.level_changed";
    let mut plain = Follower::of(&server, query, None).await;
    assert!(plain.response.headers().get("content-encoding").is_none());
    let request = server.request(Method::GET, &format!("/v1/events/stream?{query}"));
    let mut packed = request.header("Accept-Encoding", "br, gzip").send().await.unwrap();
    let header = |name: &str| packed.headers()[name].to_str().unwrap().to_owned();
    assert_eq!([header("content-encoding"), header("vary")], ["gzip", "accept-encoding"]);
    let (mut bytes, mut unpacker) = (Vec::new(), flate2::write::GzDecoder::new(Vec::new()));
    let mut until = async |many: usize| {
        let text =
            |unpacker: &flate2::write::GzDecoder<Vec<u8>>| String::from_utf8(unpacker.get_ref().clone()).unwrap();
        while !text(&unpacker).contains("id: ") || text(&unpacker).matches("data: ").count() < many {
            let piece = tokio::time::timeout(DEADLINE, packed.chunk()).await.expect("something comes");
            let piece = piece.unwrap().expect("the stream goes on");
            bytes.extend_from_slice(&piece);
            unpacker.write_all(&piece).unwrap();
            unpacker.flush().unwrap();
        }
    };
    until(0).await;
    let found = |sku| json!({"sku": sku, "warehouse": "MAIN", "change": 1, "reason": "found"});
    let items: Vec<Value> = skus.iter().map(found).collect();
    server.post("/v1/stock/adjustments/batch", json!({"items": items})).await.expect(200);
    until(skus.len()).await;
    let events = plain.take(skus.len()).await;
    server.stop().await;
    while let Some(piece) = packed.chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("it is whole");
    let told = text.lines().filter_map(|line| line.strip_prefix("data: "));
    assert_eq!(told.map(|data| serde_json::from_str::<Value>(data).unwrap()).collect::<Vec<_>>(), events);
    assert!(bytes.len() * 5 < text.len(), "{} of {} bytes", bytes.len(), text.len());
}

async fn follower_start(server: &Server) -> String {
    let feed = server.get("/v1/events?limit=1&type=nothing&subject=nothing").await.expect(200);
    assert_eq!(feed["items"], json!([]));
    let now: (i64, i64) = serde_json::from_slice(&base64_decode(feed["next_cursor"].as_str().unwrap())).unwrap();
    base64_encode(&serde_json::to_vec(&(now.0, 0)).unwrap())
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn base64_encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn streams_have_a_limit() {
    let config = Config { limits: Limits { streams: 1, ..Limits::default() }, ..Config::default() };
    let server = Server::with(config).await;
    let first = Follower::of(&server, "", None).await;
    server.get("/v1/events/stream").await.refused(503, "overloaded");
    drop(first);
    eventually("the place is free again", async || {
        let response = server.request(Method::GET, "/v1/events/stream").send().await.unwrap();
        response.status() == 200
    })
    .await;
}

/// It reads nothing until its place in the tail is gone, then all there is: no event is missing up to the last id, and
/// whoever connects again with it gets the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_cut_and_can_go_on() {
    let server = Server::start().await;
    server.shop(&[("TEA", 0)]).await;
    let address = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(address).await.unwrap();
    let request = format!(
        "GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n"
    );
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let mut n = 0;
    while !String::from_utf8_lossy(&bytes).contains("data: ") {
        server.product(&format!("FIRST-{n}")).await;
        n += 1;
        let _ = tokio::time::timeout(Duration::from_millis(200), slow.read_buf(&mut bytes)).await;
    }
    // More than the sockets take, and then for long enough that the tail moves on, burst by burst.
    for n in 0..15 {
        let product = |m| json!({"sku": format!("P-{n}-{m}"), "name": "a long story", "description": "x".repeat(4000)});
        let items: Vec<Value> = (0..200).map(product).collect();
        server.post("/v1/products/batch", json!({"items": items})).await.expect(200);
    }
    for _ in 0..150 {
        server.stock("TEA", "MAIN", 1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = async { while slow.read_buf(&mut bytes).await.unwrap() > 0 {} };
    tokio::time::timeout(DEADLINE, read).await.expect("the stream is ended by the server");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(": too slow"), "{}", &text[text.len().saturating_sub(300)..]);
    let last = text.rmatch_indices("id: ").next().map(|(at, _)| text[at + 4..].lines().next().unwrap()).unwrap();
    let seen: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let mut feed = server.events("").await;
    feed.retain(|event| event["sequence"].as_str() >= seen[0]["sequence"].as_str());
    assert!(seen.len() < feed.len() && feed.starts_with(&seen), "{} of {}", seen.len(), feed.len());
    let mut again = Follower::of(&server, "", Some(last)).await;
    let rest = again.take(feed.len() - seen.len()).await;
    assert!(feed.ends_with(&rest));
    server.assert_clean().await;
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whoever begins with a snapshot and goes on with the feed has the stock as it is, whatever is written meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_leads_on_to_the_feed() {
    let server = Arc::new(Server::start().await);
    let skus: Vec<String> = (0..40).map(|n| format!("P-{n:02}")).collect();
    let stock: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    server.shop(&stock).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4usize {
        let (server, skus) = (server.clone(), skus.clone());
        writers.spawn(async move {
            for n in 0..30 {
                let sku = &skus[(writer * 7 + n * 3) % skus.len()];
                server.stock(sku, "MAIN", 2).await;
                server.hold(sku, 1, 600).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    let answer = server.get("/v1/stock/snapshot").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let snapshot = lines(std::str::from_utf8(&answer.bytes).unwrap());
    let (first, last) = (snapshot.first().unwrap(), snapshot.last().unwrap());
    assert_eq!((&first["line"], &last["line"]), (&json!("begin"), &json!("end")));
    assert_eq!(last["levels"], 40);
    writers.join_all().await;
    let mut levels: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let quantities = |level: &Value| (level["on_hand"].as_i64().unwrap(), level["reserved"].as_i64().unwrap());
    for line in &snapshot[1..snapshot.len() - 1] {
        levels.insert(line["sku"].as_str().unwrap().to_owned(), quantities(line));
    }
    server.events("").await;
    let mut after = first["cursor"].as_str().unwrap().to_owned();
    loop {
        let feed =
            server.get(&format!("/v1/events?limit=200&type=stock.level_changed&after={after}")).await.expect(200);
        for event in feed["items"].as_array().unwrap() {
            levels.insert(event["data"]["sku"].as_str().unwrap().to_owned(), quantities(&event["data"]["after"]));
        }
        after = feed["next_cursor"].as_str().unwrap().to_owned();
        if feed["has_more"] == false {
            break;
        }
    }
    let mut real = HashMap::new();
    for sku in &skus {
        real.insert(sku.clone(), quantities(&server.level(sku, "MAIN").await));
    }
    for (sku, level) in levels {
        assert_eq!(real[&sku], level, "{sku}");
    }
    server.assert_clean().await;
}

/// What is too old goes a day at a time, and readers that have not seen it are told.
#[tokio::test]
async fn old_days_are_dropped_and_cursors_of_before_are_refused() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let old = server.events("").await.len();
    let start = follower_start(&server).await;
    let read = server.get("/v1/events?limit=200").await.expect(200)["next_cursor"].as_str().unwrap().to_owned();
    // All of it happened on a day long ago.
    let age = "CREATE TABLE events.outbox_2020_02_03 (LIKE events.outbox INCLUDING DEFAULTS);
         ALTER TABLE events.outbox ATTACH PARTITION events.outbox_2020_02_03 FOR VALUES FROM ('2020-02-03Z') TO ('2020-02-04Z');
         UPDATE events.outbox SET time = '2020-02-03T12:00:00Z'";
    server.sql(age).await.unwrap();
    server.product("MUG").await;
    let kept: Vec<Value> = server.events("").await;
    assert_eq!(kept.len(), old + 1, "nothing goes by itself before its time");
    // Somebody writes: it waits for nobody longer than a moment, and tries again later.
    let mut writer = server.app.db.begin().await.unwrap();
    let event = stockhold::events::Event::new("test.happened", "test".to_owned(), &json!({}));
    stockhold::events::Events::publish_in_tx(&mut writer, &[event]).await.unwrap();
    let owner = server.app.events.clone();
    let begun = std::time::Instant::now();
    assert!(owner.turn_days(30).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
    writer.rollback().await.unwrap();
    assert!(owner.turn_days(30).await.unwrap(), "it dropped a day");
    assert!(!owner.turn_days(30).await.unwrap(), "and there is no other");
    let left = server.events("").await;
    assert_eq!(each(&left, "subject"), ["products/MUG"]);
    let problem = server.get(&format!("/v1/events?after={start}")).await.refused(410, "stale-cursor");
    assert_eq!(problem["resync"], "/v1/stock/snapshot");
    server.get(&format!("/v1/events/stream?after={start}")).await.refused(410, "stale-cursor");
    let on = server.get(&format!("/v1/events?after={read}")).await.expect(200);
    assert_eq!(each(on["items"].as_array().unwrap(), "subject"), ["products/MUG"]);
    server.assert_clean().await;
}
