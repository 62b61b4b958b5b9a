//! Notices, with a real SMTP server: who is told, in which order, once, and nothing is lost while no mail can be sent.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use stockhold::config::Config;
use stockhold::events::{Event, Events};
use stockhold::notices::{Settings, Smtp};

use crate::harness::{Server, each, eventually};

const FROM: &str = "Shop <shop@example.org>";

/// The Python that has aiosmtpd. None where it cannot be had, which is said aloud, and must not be in CI.
static PYTHON: LazyLock<Option<String>> = LazyLock::new(|| {
    let root = env!("CARGO_MANIFEST_DIR");
    let made = Command::new(format!("{root}/.ci/venv")).arg(format!("{root}/.ci/notices/requirements.txt")).output();
    if let Some(made) = made.ok().filter(|made| made.status.success()) {
        return Some(format!("{}/bin/python", String::from_utf8_lossy(&made.stdout).trim()));
    }
    assert!(std::env::var_os("CI").is_none(), "in CI, .ci/venv .ci/notices/requirements.txt has to work");
    // Past the test harness, which keeps to itself what a test prints that passes.
    let told = "SKIPPED: mails to a real SMTP server. `.ci/venv .ci/notices/requirements.txt` did not work\n";
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    None
});

/// An SMTP server, and what it got. It ends when it is dropped.
struct Post {
    process: Child,
    got: Arc<Mutex<Vec<Value>>>,
}

impl Post {
    fn start(port: u16) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/notices/smtp.py");
        let mut process = Command::new(PYTHON.as_ref().expect("it was asked for"))
            .args(["-B", script, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "listening");
        let got: Arc<Mutex<Vec<Value>>> = Arc::default();
        let heard = got.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, got }
    }

    fn mails(&self) -> Vec<Value> {
        self.got.lock().unwrap().clone()
    }

    async fn has(&self, many: usize) -> Vec<Value> {
        eventually(&format!("{many} mails come"), async || self.mails().len() >= many).await;
        self.mails()
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn config(port: u16, notices: Settings) -> Config {
    let url = format!("smtp://127.0.0.1:{port}");
    let smtp = Smtp { url, from: FROM.to_owned(), retry_seconds: 1, ..Smtp::default() };
    Config { smtp, notices, ..Config::default() }
}

async fn subscribe(server: &Server, sku: &str, body: Value) -> Value {
    server.post(&format!("/v1/products/{sku}/subscriptions"), body).await.expect(201)
}

async fn listed(server: &Server, sku: &str, status: &str) -> Vec<Value> {
    server.list(&format!("/v1/products/{sku}/subscriptions?status={status}")).await
}

fn to(mails: &[Value]) -> Vec<String> {
    mails.iter().map(|mail| mail["to"][0].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn who_waits_longest_is_told_first_and_everybody_once_with_two_servers() {
    if PYTHON.is_none() {
        return;
    }
    let port = free_port();
    let post = Post::start(port);
    let [one, two] = Server::pair_with(config(port, Settings::default())).await;
    one.shop(&[("TEA", 0)]).await;
    for (n, quantity) in [(1, 1), (2, 2), (3, 1), (4, 1)] {
        let body = json!({"email": format!("c{n}@example.com"), "quantity": quantity});
        subscribe(&one, "TEA", body).await;
    }
    let again = json!({"email": "C2@Example.com", "quantity": 9});
    let again = two.post("/v1/products/TEA/subscriptions", again).await.expect(200);
    assert_eq!((&again["email"], &again["quantity"]), (&json!("c2@example.com"), &json!(2)), "one of an address");
    let waiting = listed(&one, "TEA", "waiting").await;
    assert_eq!(each(&waiting, "quantity"), [1, 2, 1, 1], "the oldest first");

    one.stock("TEA", "MAIN", 2).await;
    let mails = post.has(1).await;
    assert_eq!(to(&mails), ["c1@example.com"], "nobody passes who wants more than is left");
    one.stock("TEA", "MAIN", 1).await;
    post.has(2).await;
    let waiting_still =
        || async { each(&listed(&two, "TEA", "waiting").await, "email") == ["c3@example.com", "c4@example.com"] };
    assert!(waiting_still().await);
    // What is bought leaves less, and what is there was told of.
    one.order("TEA", 1).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(waiting_still().await, "what one was told of is not told to another");
    two.stock("TEA", "MAIN", 5).await;
    post.has(4).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut told = to(&post.mails());
    told.sort_unstable();
    assert_eq!(told, ["c1@example.com", "c2@example.com", "c3@example.com", "c4@example.com"]);
    assert_eq!((&mails[0]["subject"], &mails[0]["from"]), (&json!("TEA is back in stock"), &json!(FROM)));
    let id = format!("<{}.back_in_stock@example.org>", waiting[0]["id"].as_str().unwrap());
    assert_eq!(mails[0]["id"], id);
    let notified = listed(&two, "TEA", "notified").await;
    assert_eq!(notified.len(), 4);
    let once_more = subscribe(&one, "TEA", json!({"email": "c1@example.com"})).await;
    eventually("who comes when it is there is told at once", async || post.mails().len() == 5).await;
    assert_ne!(once_more["id"], notified[0]["id"]);
    subscribe(&one, "TEA", json!({"email": "c6@example.com", "quantity": 5})).await;
    eventually("it is looked at", async || {
        one.list("/v1/jobs?kind=back_in_stock&status=pending").await.iter().any(|job| job["key"] == "TEA later")
    })
    .await;
    // One by one: a look locks its job before the promises.
    one.sql("UPDATE notices.promises SET told_at = told_at - interval '1 day'").await.unwrap();
    one.sql("UPDATE platform.jobs SET run_at = now()").await.unwrap();
    post.has(6).await;
    one.assert_clean().await;
}

#[tokio::test]
async fn nothing_is_lost_while_no_mail_can_be_sent() {
    if PYTHON.is_none() {
        return;
    }
    let port = free_port();
    let server = Server::with(config(port, Settings::default())).await;
    server.shop(&[("TEA", 0)]).await;
    server.channel("web", &[("MAIN", 5)]).await;
    for n in 0..10 {
        subscribe(&server, "TEA", json!({"email": format!("c{n}@example.com")})).await;
    }
    subscribe(&server, "TEA", json!({"email": "nobody@example.com"})).await;
    subscribe(&server, "TEA", json!({"email": "web@example.com", "channel": "web", "quantity": 90})).await;
    server.stock("TEA", "MAIN", 20).await;
    let failing = async || {
        let jobs = server.list("/v1/jobs?kind=mail&status=pending").await;
        jobs.len() == 11 && jobs.iter().all(|job| job["last_error"].is_string())
    };
    eventually("all have been tried", failing).await;
    let post = Post::start(port);
    let mails = post.has(10).await;
    let mut told = to(&mails);
    told.sort_unstable();
    assert_eq!(told, (0..10).map(|n| format!("c{n}@example.com")).collect::<Vec<_>>());
    eventually("who is not there is given up", async || {
        let dead = server.list("/v1/jobs?kind=mail&status=dead").await;
        dead.len() == 1 && dead[0]["last_error"].as_str().unwrap().contains("no such user")
    })
    .await;
    assert_eq!(
        each(&listed(&server, "TEA", "waiting").await, "email"),
        ["web@example.com"],
        "the buffer is not for sale"
    );
    server.stock("TEA", "MAIN", 90).await;
    post.has(11).await;
    server.assert_clean().await;
}

#[tokio::test]
async fn the_operator_is_told_of_all_in_few_mails() {
    if PYTHON.is_none() {
        return;
    }
    let port = free_port();
    let post = Post::start(port);
    let alert_to = "ops@example.com, boss@example.com".to_owned();
    let settings = Settings { alert_to, gather_seconds: 2, ..Settings::default() };
    let [server, other] = Server::pair_with(config(port, settings)).await;
    server.shop(&[("TEA", 5), ("MUG", 5)]).await;
    for sku in ["TEA", "MUG"] {
        server.patch(&format!("/v1/stock/{sku}/levels/MAIN"), json!({"reorder_point": 3})).await.expect(200);
    }
    server.order("TEA", 3).await;
    let first = post.has(2).await;
    assert_eq!(first[0]["id"], first[1]["id"]);
    let mut told = to(&first);
    told.sort_unstable();
    assert_eq!(told, ["boss@example.com", "ops@example.com"]);
    assert!(first[0]["text"].as_str().unwrap().contains("TEA in MAIN is low: 2 available, the reorder point is 3"));

    server.order("TEA", 2).await;
    server.order("MUG", 3).await;
    let data = json!({"id": "1", "url": "https://shop.example.com/", "why": "gone"});
    let mut tx = other.app.db.begin().await.unwrap();
    let gone = Event::new("webhook.disabled", "webhooks/1".to_owned(), &data);
    Events::publish_in_tx(&mut tx, &[gone]).await.unwrap();
    tx.commit().await.unwrap();
    let mails = post.has(4).await;
    assert_eq!(mails[3]["subject"], "Stock alerts: 3");
    let text = mails[3]["text"].as_str().unwrap();
    for line in ["TEA is out of stock", "MUG in MAIN is low: 2", "https://shop.example.com/ was disabled: gone"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(post.mails().len(), 4, "each line is told once");
    server.assert_clean().await;
}

#[tokio::test]
async fn customers_are_told_how_their_orders_go_in_the_words_of_the_shop() {
    if PYTHON.is_none() {
        return;
    }
    let port = free_port();
    let post = Post::start(port);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("order_placed.txt"),
        "Subject: Bestellung {number}\n\nGuten Tag {customer}:\n{lines}",
    )
    .unwrap();
    let templates_dir = dir.path().to_str().unwrap().to_owned();
    let settings = Settings { order_mails: true, templates_dir, ..Settings::default() };
    let server = Server::with(config(port, settings)).await;
    server.shop(&[("TEA", 5), ("MUG", 5)]).await;
    let lines = json!([{"sku": "TEA", "quantity": 2}, {"sku": "MUG", "quantity": 1}]);
    let customer = json!({"name": "Ada", "email": "ada@example.com"});
    let order = server.post("/v1/orders", json!({"lines": lines, "customer": customer})).await.expect(201);
    let mails = post.has(1).await;
    assert_eq!(mails[0]["subject"], format!("Bestellung {}", order["number"]));
    assert_eq!(mails[0]["text"].as_str().unwrap().trim(), "Guten Tag Ada:\n2 × TEA\n1 × MUG");
    let path = format!("/v1/orders/{}", order["number"]);
    let shipment = json!({"warehouse": "MAIN", "carrier": "DHL", "tracking_number": "42", "lines": [{"sku": "TEA", "quantity": 2}]});
    server.post(&format!("{path}/shipments"), shipment).await.expect(201);
    let mails = post.has(2).await;
    assert!(mails[1]["text"].as_str().unwrap().contains("2 × TEA\n\nDHL 42"), "{}", mails[1]);
    server.post(&format!("{path}/cancel"), json!({"reason": "We lost the mug."})).await.expect(200);
    let mails = post.has(3).await;
    assert!(mails[2]["text"].as_str().unwrap().contains("was cancelled. We lost the mug."), "{}", mails[2]);
    server.order("TEA", 1).await;
    let silent = json!({"email": "eve@example.com", "consent": {"order_updates": false}});
    let silent = server.post("/v1/customers", silent).await.expect(201);
    let order = json!({"lines": [{"sku": "TEA", "quantity": 1}], "customer_id": silent["id"]});
    server.post("/v1/orders", order).await.expect(201);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(to(&post.mails()), ["ada@example.com"; 3], "who gave no address, or wants no mails, is not told");
    server.assert_clean().await;
}

#[tokio::test]
async fn without_a_server_for_mails_they_wait_and_no_address_outlives_its_use() {
    let server = Server::start().await;
    server.shop(&[("TEA", 0), ("MUG", 0), ("CUP", 0)]).await;
    let path = |sku: &str| format!("/v1/products/{sku}/subscriptions");
    for (sku, email) in
        [("TEA", "planted1@example.com"), ("MUG", "planted2@example.com"), ("CUP", "planted3@example.com")]
    {
        server.post_once(&path(sku), sku, json!({"email": email})).await.expect(201);
    }
    let again = server.post_once(&path("TEA"), "TEA", json!({"email": "planted1@example.com"})).await.expect(201);
    assert_eq!((&again["sku"], again.get("email")), (&json!("TEA"), None), "a repeated call is told no address");
    server.stock("TEA", "MAIN", 5).await;
    server.events("stock.level_changed").await;
    let waiting = listed(&server, "TEA", "waiting").await;
    assert_eq!(waiting[0]["email"], "planted1@example.com");

    let tea = format!("/v1/subscriptions/{}", waiting[0]["id"].as_str().unwrap());
    assert_eq!(server.get(&tea).await.expect(200), waiting[0]);
    server.delete(&tea).await.expect(204);
    server.delete(&tea).await.refused(404, "not-found");
    server.delete("/v1/products/MUG").await.expect(204);
    let told =
        "UPDATE notices.subscriptions SET status = 'notified', ended_at = now() - interval '31 days' WHERE sku = 'CUP'";
    server.sql(told).await.unwrap();
    assert_eq!(listed(&server, "CUP", "notified").await.len(), 1);
    server.app.notices.forget_old().await.unwrap();
    assert!(!server.dump().await.contains("planted"), "an address is left");
    server.assert_clean().await;
}

#[tokio::test]
async fn who_cannot_be_told_is_not_subscribed() {
    let server = Server::start().await;
    server.shop(&[("TEA", 0)]).await;
    for wrong in ["ada", "ada@", "@example.com", "ada at example.com"] {
        server.post("/v1/products/TEA/subscriptions", json!({"email": wrong})).await.invalid(&["/email pattern"]);
    }
    let wrong = json!({"email": "ada..b@example.com"});
    server.post("/v1/products/TEA/subscriptions", wrong).await.invalid(&["/email not_an_address"]);
    let body = json!({"email": "ada@example.com"});
    server.post("/v1/products/NONE/subscriptions", body).await.refused(404, "not-found");
    let body = json!({"email": "ada@example.com", "channel": "none"});
    let refused = server.post("/v1/products/TEA/subscriptions", body).await;
    assert!([404, 422].contains(&refused.status), "{refused:?}");
    server.get("/v1/products/NONE/subscriptions").await.refused(404, "not-found");
    server.assert_clean().await;
}
