//! Webhooks: who is told, what they get, what happens when they do not take it, and whom the server never calls.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use stockhold::config::Config;
use stockhold::webhooks::Settings;
use tokio::net::TcpListener;

use crate::harness::{Server, each, eventually};

/// What a receiver got.
#[derive(Clone)]
struct Message {
    id: String,
    headers: HeaderMap,
    bytes: Bytes,
    json: Value,
}

/// How it answers; after the last, with 204.
pub enum Reply {
    Status(u16),
    To(String),
    Hang,
}

#[derive(Clone, Default)]
pub struct Receiver {
    got: Arc<Mutex<Vec<Message>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Receiver {
    /// One that listens on this address.
    pub async fn on(address: &str) -> (Self, SocketAddr) {
        let receiver = Self::default();
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let app = axum::Router::new().fallback({
            let receiver = receiver.clone();
            move |headers: HeaderMap, bytes: Bytes| async move { receiver.take(headers, bytes).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, at)
    }

    pub fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().unwrap().extend(replies);
    }

    async fn take(&self, headers: HeaderMap, bytes: Bytes) -> Response {
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        self.got.lock().unwrap().push(Message { id, headers, bytes, json });
        let reply = self.replies.lock().unwrap().pop_front();
        match reply {
            None => StatusCode::NO_CONTENT.into_response(),
            Some(Reply::Status(status)) => (StatusCode::from_u16(status).unwrap(), "as it was told").into_response(),
            Some(Reply::To(place)) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response(),
            Some(Reply::Hang) => std::future::pending().await,
        }
    }

    fn messages(&self) -> Vec<Message> {
        self.got.lock().unwrap().clone()
    }

    async fn has(&self, many: usize) -> Vec<Message> {
        eventually(&format!("{many} messages come"), async || self.messages().len() >= many).await;
        self.messages()
    }
}

pub fn config() -> Config {
    let settings = Settings {
        allow_networks: "127.0.0.1, ::1".parse().unwrap(),
        timeout_seconds: 1,
        retry_seconds: 1,
        at_once: 4,
        ..Settings::default()
    };
    Config { webhooks: settings, ..Config::default() }
}

async fn webhook(server: &Server, at: SocketAddr, filter: Value) -> Value {
    let body = json!({"url": format!("http://{at}/hook"), "filter": filter});
    server.post("/v1/webhooks", body).await.expect(201)
}

fn path(webhook: &Value, below: &str) -> String {
    format!("/v1/webhooks/{}{below}", webhook["id"].as_str().unwrap())
}

async fn deliveries(server: &Server, webhook: &Value, query: &str) -> Vec<Value> {
    server.list(&path(webhook, &format!("/deliveries{query}"))).await
}

#[tokio::test]
async fn an_endpoint_gets_what_its_filter_wants_signed_and_once() {
    let server = Server::with(config()).await;
    server.shop(&[]).await;
    server.product("BEFORE").await;
    let (receiver, at) = Receiver::on("127.0.0.1").await;
    let made = webhook(&server, at, json!({"types": ["product.*"]})).await;
    let signer = Webhook::new(made["secret"].as_str().unwrap()).unwrap();
    server.product("TEA").await;
    server.stock("TEA", "MAIN", 3).await;
    server.product("MUG").await;
    let got = receiver.has(2).await;
    let feed = server.events("product.created").await;
    assert_eq!(got.iter().map(|m| &m.json).collect::<Vec<_>>(), feed[1..].iter().collect::<Vec<_>>());
    for message in &got {
        signer.verify(&message.bytes, &message.headers).expect("the signature is right");
        assert_eq!(message.id, message.json["id"]);
        assert_eq!(message.headers["content-type"], "application/json");
        assert!(message.headers["user-agent"].to_str().unwrap().starts_with("stockhold/"));
    }
    eventually("both are delivered", async || deliveries(&server, &made, "?status=delivered").await.len() == 2).await;
    let log = deliveries(&server, &made, "").await;
    assert_eq!(each(&log, "subject"), ["products/MUG", "products/TEA"], "the newest first");
    let one = server.get(&path(&made, &format!("/deliveries/{}", log[0]["id"].as_str().unwrap()))).await.expect(200);
    assert_eq!((&one["log"][0]["status"], &one["attempts"], &one["body"]), (&json!(204), &json!(1), &feed[2]));
    let read = server.get(&path(&made, "")).await.expect(200);
    assert_eq!((&read["secret"], &read["enabled"]), (&Value::Null, &json!(true)), "the secret is told once");
    server.assert_clean().await;
}

#[tokio::test]
async fn what_fails_comes_again_in_the_order_of_its_subject() {
    let server = Server::with(config()).await;
    server.shop(&[("TEA", 1), ("MUG", 1)]).await;
    let (receiver, at) = Receiver::on("127.0.0.1").await;
    let made = webhook(&server, at, json!({"types": ["stock.level_changed"]})).await;
    receiver.then([Reply::Status(500), Reply::Hang, Reply::To(format!("http://{at}/elsewhere"))]);
    for n in 0..4 {
        server.stock("TEA", "MAIN", 1).await;
        if n == 0 {
            // The first of TEA has failed before the second is there, and its neighbour is not kept waiting.
            receiver.has(1).await;
            server.stock("MUG", "MAIN", 1).await;
        }
    }
    eventually("all five are delivered", async || deliveries(&server, &made, "?status=delivered").await.len() == 5)
        .await;
    let got = receiver.messages();
    assert!(got.len() >= 8, "three attempts failed: {}", got.len());
    // The last sight of each message is when it was taken.
    let mut taken: HashMap<String, usize> = HashMap::new();
    got.iter().enumerate().for_each(|(n, message)| _ = taken.insert(message.id.clone(), n));
    let tea: Vec<i64> = got
        .iter()
        .enumerate()
        .filter(|(n, m)| m.json["subject"] == "products/TEA" && taken[&m.id] == *n)
        .map(|(_, m)| m.json["data"]["after"]["on_hand"].as_i64().unwrap())
        .collect();
    assert_eq!(tea, [2, 3, 4, 5]);
    let failed: Vec<Value> = deliveries(&server, &made, "").await;
    let attempts: i64 = failed.iter().map(|delivery| delivery["attempts"].as_i64().unwrap()).sum();
    assert_eq!(attempts as usize, got.len(), "each attempt is counted");
    assert_eq!(server.get(&path(&made, "")).await.expect(200)["failing_since"], Value::Null);
    server.assert_clean().await;
}

#[tokio::test]
async fn one_that_hangs_delays_no_other() {
    let server = Server::with(config()).await;
    let (hung, at) = Receiver::on("127.0.0.1").await;
    hung.then((0..10_000).map(|_| Reply::Hang));
    webhook(&server, at, json!({})).await;
    let (quick, at) = Receiver::on("127.0.0.1").await;
    webhook(&server, at, json!({"types": ["product.*"]})).await;
    for n in 0..50 {
        server.product(&format!("P-{n}")).await;
    }
    let begun = std::time::Instant::now();
    quick.has(50).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(hung.messages().len() <= 40, "no more than four at once are tried: {}", hung.messages().len());
}

#[tokio::test]
async fn two_secrets_are_valid_while_one_is_rotated() {
    let server = Server::with(config()).await;
    let (receiver, at) = Receiver::on("127.0.0.1").await;
    let made = webhook(&server, at, json!({})).await;
    let rotate = path(&made, "/rotate");
    let rotated = server.post_once(&rotate, "once", json!({"overlap_hours": 1})).await.expect(201);
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(server.post_once(&rotate, "once", json!({"overlap_hours": 1})).await.expect(201)["secret"], Value::Null);
    server.post(&path(&made, "/test"), json!({})).await.expect(201);
    let message = receiver.has(1).await.remove(0);
    assert_eq!(message.json["type"], "webhook.test");
    for secret in [&made["secret"], &rotated["secret"]] {
        Webhook::new(secret.as_str().unwrap()).unwrap().verify(&message.bytes, &message.headers).unwrap();
    }
    server.post(&rotate, json!({"overlap_hours": 0})).await.expect(201);
    server.post(&path(&made, "/test"), json!({})).await.expect(201);
    let message = receiver.has(2).await.remove(1);
    for secret in [&made["secret"], &rotated["secret"]] {
        let signer = Webhook::new(secret.as_str().unwrap()).unwrap();
        assert!(signer.verify(&message.bytes, &message.headers).is_err());
    }
}

#[tokio::test]
async fn an_endpoint_is_disabled_when_it_is_gone_or_fails_for_days() {
    let server = Server::with(config()).await;
    let (gone, at) = Receiver::on("127.0.0.1").await;
    gone.then([Reply::Status(410)]);
    let first = webhook(&server, at, json!({"types": ["product.*"]})).await;
    let (failing, at) = Receiver::on("127.0.0.1").await;
    failing.then((0..1000).map(|_| Reply::Status(500)));
    let second = webhook(&server, at, json!({"types": ["product.*"]})).await;
    let why = async |webhook: &Value| server.get(&path(webhook, "")).await.expect(200)["disabled_why"].clone();
    server.product("TEA").await;
    eventually("the one is disabled", async || why(&first).await == "gone").await;
    eventually("the other fails", async || {
        server.get(&path(&second, "")).await.expect(200)["failing_since"].is_string()
    })
    .await;
    assert_eq!(why(&second).await, Value::Null);
    server
        .sql("UPDATE webhooks.endpoints SET failing_since = failing_since - interval '5 days 1 second'")
        .await
        .unwrap();
    eventually("the other is disabled", async || why(&second).await == "failing").await;
    let told = server.events("webhook.disabled").await;
    assert_eq!(told.iter().map(|event| &event["data"]["why"]).collect::<Vec<_>>(), ["gone", "failing"]);
    // Enabled again, it is told of what happens from then on; what was before can be replayed.
    server.product("MEANWHILE").await;
    server.events("").await; // all of that is final
    server.patch(&path(&first, ""), json!({"enabled": true})).await.expect(200);
    server.product("AFTER").await;
    let subject = |message: &Message| message.json["subject"].as_str().unwrap().to_owned();
    let got = gone.has(3).await;
    // TEA was refused, and is sent again: it still waited.
    assert_eq!(got.iter().map(subject).collect::<Vec<_>>(), ["products/TEA", "products/TEA", "products/AFTER"]);
    let replay = json!({"from": "2026-01-01T00:00:00Z"});
    let replayed = server.post(&path(&first, "/replay"), replay).await.expect(201);
    assert_eq!((&replayed["deliveries"], &replayed["more_from"]), (&json!(3), &Value::Null));
    let got = gone.has(6).await;
    let ids = |messages: &[Message]| messages.iter().map(|m| m.id.clone()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&got).len(), 3, "the same ids again");
}

#[tokio::test]
async fn a_message_is_given_up_after_three_days_and_can_be_sent_once_more() {
    let server = Server::with(config()).await;
    let (receiver, at) = Receiver::on("127.0.0.1").await;
    receiver.then([Reply::Status(500), Reply::Status(500)]);
    let made = webhook(&server, at, json!({"types": ["product.*"]})).await;
    server.product("TEA").await;
    receiver.has(1).await;
    server.sql("UPDATE webhooks.deliveries SET created_at = created_at - interval '3 days 1 second'").await.unwrap();
    eventually("it is given up", async || deliveries(&server, &made, "?status=failed").await.len() == 1).await;
    let failed = deliveries(&server, &made, "?status=failed").await.remove(0);
    let redeliver = path(&made, &format!("/deliveries/{}/redeliver", failed["id"].as_str().unwrap()));
    let again = server.post(&redeliver, json!({})).await.expect(201);
    assert_eq!((&again["cause"], &again["message_id"]), (&json!("redelivery"), &failed["message_id"]));
    eventually("it is delivered", async || deliveries(&server, &made, "?status=delivered").await.len() == 1).await;
    let unknown = path(&made, "/deliveries/0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b/redeliver");
    server.post(&unknown, json!({})).await.refused(404, "not-found");
    server.delete(&path(&made, "")).await.expect(204);
    server.get(&path(&made, "/deliveries")).await.refused(404, "not-found");
    // What ended long ago is forgotten.
    server.assert_clean().await;
}

/// Whatever somebody names, the server calls no address that is not public: not at the first look, not as a name, not by
/// a redirect. A canary listens where they lead.
#[tokio::test]
async fn addresses_that_are_not_public_are_never_called() {
    let hits = Arc::new(AtomicUsize::new(0));
    let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = v4.local_addr().unwrap().port();
    let mut canaries = vec![v4];
    canaries.extend(TcpListener::bind(("::1", port)).await.ok());
    canaries.extend(TcpListener::bind(("127.0.0.3", port)).await.ok());
    for canary in canaries {
        let hits = hits.clone();
        tokio::spawn(async move {
            while canary.accept().await.is_ok() {
                hits.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    // Only this one neighbour is allowed, and it sends everybody on to the canary.
    let (guide, at) = Receiver::on("127.0.0.2").await;
    let settings = Settings { allow_networks: "127.0.0.2".parse().unwrap(), timeout_seconds: 2, ..Settings::default() };
    let server = Server::with(Config { webhooks: settings, ..Config::default() }).await;
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0177.0.0.01",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "127.0.0.3",
        "127.255.255.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "ip6-localhost",
        "１２７.０.０.１",
        "127。0。0。1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "100.64.0.1",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "metadata.google.internal",
    ];
    let mut refused = 0;
    let mut tried = 0;
    for host in hosts {
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://{host}:{port}/hook");
            tried += 1;
            let made = server.post("/v1/webhooks", json!({"url": url})).await;
            if made.status == 422 {
                assert_eq!(made.json["errors"][0]["pointer"], "/url", "{url}");
                refused += 1;
                // Somebody gets it past that.
                let sql = format!(
                    "INSERT INTO webhooks.endpoints (id, url, filter, secret, begins_after)
                     VALUES (gen_random_uuid(), '{url}', '{{}}', 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', 0)"
                );
                server.sql(&sql).await.unwrap();
            } else {
                assert_eq!(made.status, 201, "{url}: {}", made.json);
            }
        }
    }
    assert!(refused >= 50, "{refused} of {tried} are refused by their looks");
    for url in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://user:pass@example.com/",
        "https://example.com/#x",
        "nonsense",
        "https://",
    ] {
        server.post("/v1/webhooks", json!({"url": url})).await.refused(422, "validation");
    }
    let redirected = webhook(&server, at, json!({})).await;
    guide.then((0..200).map(|_| Reply::To(format!("http://127.0.0.1:{port}/"))));
    let hooks = server.list("/v1/webhooks").await;
    for hook in &hooks {
        server.post(&path(hook, "/test"), json!({})).await.expect(201);
    }
    eventually("all were tried", async || {
        let pending = "SELECT count(*)::text FROM webhooks.deliveries d
                       WHERE NOT EXISTS (SELECT FROM webhooks.attempts WHERE delivery_id = d.id)";
        server.text(pending).await.trim() == "0"
    })
    .await;
    assert_eq!(hits.load(Ordering::SeqCst), 0, "the canary was called");
    assert!(!guide.messages().is_empty(), "the guide was called");
    let log = deliveries(&server, &redirected, "").await;
    let log =
        server.get(&path(&redirected, &format!("/deliveries/{}", log[0]["id"].as_str().unwrap()))).await.expect(200);
    assert_eq!(log["log"][0]["status"], 307);
}

/// Two servers share the work; each message is taken once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_share_the_work() {
    let (receiver, at) = Receiver::on("127.0.0.1").await;
    let [first, second] = Server::pair_with(config()).await;
    let made = webhook(&first, at, json!({"types": ["product.*"]})).await;
    let items = |n: usize| -> Vec<Value> {
        (0..100).map(|m| json!({"sku": format!("P-{n}-{m}"), "name": "of many"})).collect()
    };
    for n in 0..4 {
        let server = [&first, &second][n % 2];
        server.post("/v1/products/batch", json!({"items": items(n)})).await.expect(200);
    }
    eventually("all are delivered", async || {
        let left = "SELECT count(*)::text FROM webhooks.deliveries WHERE status = 'delivered'";
        first.text(left).await.trim() == "400"
    })
    .await;
    let got = receiver.messages();
    let ids: std::collections::BTreeSet<&String> = got.iter().map(|message| &message.id).collect();
    assert_eq!((got.len(), ids.len()), (400, 400));
    assert_eq!(deliveries(&first, &made, "?status=pending").await.len(), 0);
}
