//! The feed through real brokers: NATS and Mosquitto, started here, killed, and started again.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop there and say where

#[path = "../api/cluster.rs"]
#[allow(dead_code)]
mod cluster;
mod consumer;
#[path = "../api/harness.rs"]
#[allow(dead_code)]
mod harness;
mod process;
#[path = "../support/server.rs"]
mod server;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use consumer::{Device, assert_is_feed, in_stream};
use harness::{Server, assert_no_deadlocks, eventually};
use process::Broker;
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use rustix::process::Signal;
use serde_json::{Value, json};
use stockhold::config::Config;
use stockhold::platform::clock::Timestamp;
use tokio::task::JoinHandle;

/// Settings with these groups.
fn config(nats: Value, mqtt: Value) -> Config {
    Config {
        nats: serde_json::from_value(nats).unwrap(),
        mqtt: serde_json::from_value(mqtt).unwrap(),
        ..Config::default()
    }
}

fn of(nats: &Broker, mqtt: &Broker) -> Config {
    let (nats, mqtt) = (format!("nats://127.0.0.1:{}", nats.port), format!("mqtt://127.0.0.1:{}", mqtt.port));
    config(json!({"url": nats, "from": "beginning"}), json!({"url": mqtt, "from": "beginning"}))
}

async fn state(server: &Server, name: &str) -> Value {
    let states = server.get("/v1/brokers").await.expect(200);
    let found = states["items"].as_array().unwrap().iter().find(|state| state["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {states}")).clone()
}

async fn connected(server: &Server, name: &str, wanted: bool) {
    eventually(&format!("{name} is connected: {wanted}"), async || state(server, name).await["connected"] == wanted)
        .await;
}

/// Goods that come in all the time, until told to stop; says how many times.
fn load(server: &Arc<Server>) -> (Arc<AtomicBool>, Vec<JoinHandle<usize>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let one = |n: usize| {
        let (server, stop) = (server.clone(), stop.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while !stop.load(Ordering::Relaxed) {
                server.stock(&format!("P{n}"), "MAIN", 1).await;
                done += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done
        })
    };
    let tasks = (0..4).map(one).collect();
    (stop, tasks)
}

async fn end(stop: Arc<AtomicBool>, tasks: Vec<JoinHandle<usize>>) -> usize {
    stop.store(true, Ordering::Relaxed);
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    done
}

async fn compare(server: &Server, nats: &Broker, device: &Device) -> (usize, usize) {
    let feed = server.events("").await;
    let stream = in_stream(&format!("nats://127.0.0.1:{}", nats.port), feed.len()).await;
    let heard = device.heard(feed.len()).await;
    (assert_is_feed("NATS", &stream, &feed), assert_is_feed("MQTT", &heard, &feed))
}

#[tokio::test]
async fn events_come_once_in_order_and_where_they_belong() {
    let (nats, mqtt) = (Broker::nats("").await, Broker::mosquitto("allow_anonymous true").await);
    let device = Device::at(mqtt.port).await;
    let server = Server::with(of(&nats, &mqtt)).await;
    server.shop(&[("TEA*1.5", 5), ("A+B#$%", 5)]).await;
    for _ in 0..200 {
        server.stock("TEA*1.5", "MAIN", 1).await;
    }
    server.order("A+B#$%", 1).await;
    assert_eq!(compare(&server, &nats, &device).await, (0, 0), "doubles");

    let feed = server.events("").await;
    let stream = in_stream(&format!("nats://127.0.0.1:{}", nats.port), feed.len()).await;
    let heard = device.heard(feed.len()).await;
    for (subject, message) in [
        ("products/A+B#$%", "stockhold.product.created.products.A+B#$%25"),
        ("products/TEA*1.5", "stockhold.product.created.products.TEA%2A1%2E5"),
    ] {
        let found =
            stream.iter().find(|m| m.event["subject"] == subject && m.event["type"] == "product.created").unwrap();
        assert_eq!(found.address, message);
        assert_eq!(found.headers["Nats-Msg-Id"], found.event["id"]);
        assert_eq!(found.headers["Content-Type"], "application/cloudevents+json");
    }
    let found = heard.iter().find(|m| m.event["subject"] == "products/A+B#$%").unwrap();
    assert_eq!(found.address, "stockhold/product.created/products/A%2BB%23%24%25");
    for name in ["nats", "mqtt"] {
        eventually("nothing is left", async || state(&server, name).await["lag"] == 0).await;
        let state = state(&server, name).await;
        assert_eq!((&state["connected"], &state["last_error"]), (&json!(true), &Value::Null), "{state}");
    }
    server.assert_clean().await;
}

/// The short form. `STOCKHOLD_OUTAGE_SECONDS=60` is the long one.
#[tokio::test]
async fn brokers_that_are_away_under_load_get_everything() {
    let away = std::env::var("STOCKHOLD_OUTAGE_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let (mut nats, mut mqtt) = (Broker::nats("").await, Broker::mosquitto("allow_anonymous true").await);
    let device = Device::at(mqtt.port).await;
    let server = Arc::new(Server::with(of(&nats, &mqtt)).await);
    server.shop(&[("P0", 1), ("P1", 1), ("P2", 1), ("P3", 1)]).await;
    let (stop, tasks) = load(&server);
    for name in ["nats", "mqtt"] {
        connected(&server, name, true).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    nats.kill();
    // Mosquitto keeps in memory what it acknowledged until it is stopped in order.
    mqtt.stop();
    for name in ["nats", "mqtt"] {
        connected(&server, name, false).await;
        assert!(state(&server, name).await["last_error"].is_string());
    }
    tokio::time::sleep(Duration::from_secs(away)).await;
    assert!(state(&server, "nats").await["lag"].as_i64().unwrap() > 0);
    nats.start_again().await;
    mqtt.start_again().await;
    // The next try comes within half a minute.
    for name in ["nats", "mqtt"] {
        let back = async {
            while state(&server, name).await["connected"] != true {
                tokio::time::sleep(Duration::from_millis(50)).await
            }
        };
        tokio::time::timeout(Duration::from_secs(40), back).await.unwrap_or_else(|_| panic!("{name} is not back"));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let written = end(stop, tasks).await;
    let (in_stream, at_device) = compare(&server, &nats, &device).await;
    assert_eq!(in_stream, 0, "the stream drops what it has already");
    println!("{written} changes, {away} s away: nothing lost; {at_device} came twice at the device, with the same ids");
    server.assert_clean().await;
}

/// The real binary, killed again and again while it publishes, alone and with its Postgres; and its Postgres alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_goes_on_where_it_was() {
    let (nats, mqtt) = (Broker::nats("").await, Broker::mosquitto("allow_anonymous true").await);
    let device = Device::at(mqtt.port).await;
    let home = server::place();
    let start = || {
        let mut command = server::serve_command(home.path(), &home.path().join("data"));
        command.env("STOCKHOLD_NATS_URL", format!("nats://127.0.0.1:{}", nats.port));
        command.env("STOCKHOLD_NATS_FROM", "beginning");
        command.env("STOCKHOLD_MQTT_URL", format!("mqtt://127.0.0.1:{}", mqtt.port));
        command.env("STOCKHOLD_MQTT_FROM", "beginning");
        server::Server::run(command, home.path())
    };
    let mut running = start();
    let key = running.key.clone().expect("a first start prints a key");
    running.post("/v1/warehouses", &key, r#"{"code": "MAIN", "name": "Main"}"#);
    running.post("/v1/products", &key, r#"{"sku": "TEA", "name": "Tea"}"#);
    for round in 0..4 {
        for _ in 0..100 {
            let body = r#"{"sku": "TEA", "warehouse": "MAIN", "change": 1, "reason": "received"}"#;
            assert_eq!(running.post("/v1/stock/adjustments", &key, body).0, 201);
        }
        if round > 1 {
            server::signal(server::postmaster(&home.path().join("data")), Signal::KILL);
        }
        if round < 3 {
            running.process.kill();
            running = start();
        }
        server::within(server::LONG, "ready again", || running.is_ready());
    }
    let mut feed: Vec<Value> = Vec::new();
    let mut after = String::new();
    server::within(server::LONG, "the feed is read", || {
        let (_, page) = running.get(&format!("/v1/events?limit=200{after}"), &key);
        if let (Some(items), Some(next)) = (page["items"].as_array(), page["next_cursor"].as_str()) {
            feed.extend(items.iter().cloned());
            after = format!("&after={next}");
        }
        feed.len() >= 402
    });
    let stream = in_stream(&format!("nats://127.0.0.1:{}", nats.port), feed.len()).await;
    assert_eq!(assert_is_feed("NATS", &stream, &feed), 0, "the stream drops what it has already");
    assert_is_feed("MQTT", &device.heard(feed.len()).await, &feed);
    let begun = std::time::Instant::now();
    assert!(running.process.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?} to stop", begun.elapsed());
}

#[tokio::test]
async fn one_of_two_servers_feeds_a_broker_and_the_other_takes_over() {
    let (nats, mqtt) = (Broker::nats("").await, Broker::mosquitto("allow_anonymous true").await);
    let device = Device::at(mqtt.port).await;
    let [first, second] = Server::pair_with(of(&nats, &mqtt)).await;
    first.shop(&[("TEA", 1)]).await;
    for _ in 0..50 {
        first.stock("TEA", "MAIN", 1).await;
        second.stock("TEA", "MAIN", 1).await;
    }
    connected(&first, "mqtt", true).await;
    // Whichever server is asked, it knows of the one that does it.
    connected(&second, "mqtt", true).await;
    assert_eq!(compare(&first, &nats, &device).await, (0, 0), "both servers publish");
    first.stop().await;
    second.stock("TEA", "MAIN", 1).await;
    assert_eq!(compare(&second, &nats, &device).await, (0, 0), "what was published before is published again");
    connected(&second, "nats", true).await;

    // Another server takes the links while this one cannot renew its hold, and is killed.
    let taken = "UPDATE brokers.links SET holder = gen_random_uuid(), held_until = clock_timestamp() + interval '5 s'";
    second.sql(taken).await.unwrap();
    let begun = std::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(2)).await; // within a second, this one knows
    second.stock("TEA", "MAIN", 1).await;
    assert_eq!(compare(&second, &nats, &device).await, (0, 0), "it went on without the hold");
    let took = begun.elapsed();
    assert!((4..9).contains(&took.as_secs()), "it took {took:?} to take over");
    assert_no_deadlocks([second]).await;
}

#[tokio::test]
async fn wrong_credentials_are_told() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("passwords");
    let made =
        std::process::Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&file).args(["till", "right"]).status();
    assert!(made.expect("it comes with mosquitto").success());
    let nats = Broker::nats("authorization { user: till, password: right }").await;
    let mqtt = Broker::mosquitto(&format!("allow_anonymous false\npassword_file {}", file.display())).await;
    let with = |password: &str| {
        config(
            json!({"url": format!("nats://127.0.0.1:{}", nats.port), "user": "till", "password": password}),
            json!({"url": format!("mqtt://127.0.0.1:{}", mqtt.port), "username": "till", "password": password}),
        )
    };
    let wrong = Server::with(with("wrong")).await;
    for name in ["nats", "mqtt"] {
        eventually("it is told", async || {
            let error = state(&wrong, name).await["last_error"].as_str().unwrap_or_default().to_lowercase();
            error.contains("authorization") || error.contains("authorized") || error.contains("badusername")
        })
        .await;
        let state = state(&wrong, name).await;
        assert_eq!(state["connected"], false);
        assert!(!state.to_string().contains("wrong"), "{state}");
    }
    let right = Server::with(with("right")).await;
    for name in ["nats", "mqtt"] {
        connected(&right, name, true).await;
    }
}

#[tokio::test]
async fn a_new_link_begins_now_and_has_what_its_filter_wants() {
    let (nats, mqtt) = (Broker::nats("").await, Broker::mosquitto("allow_anonymous true").await);
    let device = Device::at(mqtt.port).await;
    let before = Server::start().await;
    before.shop(&[("TEA", 1)]).await;
    let url = |kind: &str, broker: &Broker| format!("{kind}://127.0.0.1:{}", broker.port);
    let settings = config(
        json!({"url": url("nats", &nats), "types": "order.*"}),
        json!({"url": url("mqtt", &mqtt), "types": ["stock.level_changed"], "subjects": ["products/MUG"]}),
    );
    let server = before.joined_by(settings).await;
    for name in ["nats", "mqtt"] {
        connected(&server, name, true).await;
    }
    server.product("MUG").await;
    server.stock("MUG", "MAIN", 3).await;
    server.order("TEA", 1).await;
    let feed = server.events("").await;
    let placed = in_stream(&url("nats", &nats), 1).await;
    assert_eq!(placed.iter().map(|m| &m.event["type"]).collect::<Vec<_>>(), ["order.placed"]);
    let heard = device.heard(1).await;
    assert_eq!(heard.len(), 1);
    assert!(feed.contains(&heard[0].event) && heard[0].event["data"]["after"]["on_hand"] == 3, "{heard:?}");
    for name in ["nats", "mqtt"] {
        eventually("what is not wanted is no lag", async || state(&server, name).await["lag"] == 0).await;
    }
}

#[tokio::test]
async fn what_was_forgotten_meanwhile_is_left_out() {
    let mut nats = Broker::nats("").await;
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let server = Server::with(config(json!({"url": url, "from": "beginning"}), Value::Null)).await;
    connected(&server, "nats", true).await;
    nats.kill();
    connected(&server, "nats", false).await;
    server.shop(&[("TEA", 1), ("MUG", 1)]).await;
    let feed = server.events("").await;
    let kept_from = feed.len() / 2;
    let last: i64 = feed[kept_from - 1]["sequence"].as_str().unwrap().parse().unwrap();
    server.sql(&format!("DELETE FROM events.outbox WHERE id <= {last}")).await.unwrap();
    server.sql(&format!("UPDATE events.history SET forgotten_to = {last}")).await.unwrap();
    nats.start_again().await;
    connected(&server, "nats", true).await;
    let stream = in_stream(&url, feed.len() - kept_from).await;
    assert_eq!(assert_is_feed("NATS", &stream, &feed[kept_from..]), 0);
}

#[tokio::test]
async fn an_event_too_large_for_the_broker_says_where_its_data_are() {
    let nats = Broker::nats("max_payload: 2048").await;
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let server = Server::with(config(json!({"url": url, "from": "beginning"}), Value::Null)).await;
    let name = "x".repeat(200);
    let attributes: serde_json::Map<String, Value> =
        (0..15).map(|n| (format!("a{n}"), json!("y".repeat(150)))).collect();
    server.post("/v1/products", json!({"sku": "BIG", "name": name, "attributes": attributes})).await.expect(201);
    server.product("SMALL").await;
    let feed = server.events("").await;
    let stream = in_stream(&url, feed.len()).await;
    let sent = &stream[0].event;
    assert_eq!((&sent["id"], sent.get("data")), (&feed[0]["id"], None), "{sent}");
    let found = server.get(sent["dataref"].as_str().unwrap()).await.expect(200);
    assert_eq!(found["items"][0], feed[0]);
    assert_eq!(stream[1].event, feed[1], "what follows is not held up");
}

fn reporting(mqtt: &Broker) -> Config {
    config(Value::Null, json!({"url": format!("mqtt://127.0.0.1:{}", mqtt.port), "reports": true}))
}

#[tokio::test]
async fn devices_report_stock_and_are_answered() {
    let mqtt = Broker::mosquitto("allow_anonymous true").await;
    let device = Device::that_reports("scale", mqtt.port).await;
    let server = Server::with(reporting(&mqtt)).await;
    server.shop(&[("TEA", 10)]).await;
    server.put("/v1/feeds/scales", json!({"name": "Scales", "warehouse": "MAIN"})).await.expect(200);
    connected(&server, "mqtt_reports", true).await;
    let state = state(&server, "mqtt_reports").await;
    assert_eq!((&state["sequence"], &state["lag"]), (&Value::Null, &Value::Null), "{state}");

    let now = Timestamp::now();
    let count = json!({"sku": "TEA", "device": "s7", "sequence": 1, "reported_at": now, "count": 7});
    let change = json!({"sku": "TEA", "device": "s8", "sequence": 9, "reported_at": now, "change": 3});
    let bad = json!({"sku": "TEA", "device": "s9", "sequence": 2, "reported_at": now, "count": -1});
    device.report("scales", count.to_string()).await;
    device.report("scales", json!({"items": [count, change, bad]}).to_string()).await;
    device.report("scales", "12 kg").await;
    device.report("scales", json!({"items": []}).to_string()).await;
    device.report("nobody", count.to_string()).await;
    let answers = device.answers(5).await;
    let topics: Vec<&str> = answers.iter().map(|answer| answer.address.as_str()).collect();
    assert_eq!(topics[..4], ["stockhold/feeds/scales/stock/answers"; 4]);
    assert_eq!(topics[4], "stockhold/feeds/nobody/stock/answers");
    let [first, second, unreadable, empty, stranger] =
        answers.iter().map(|answer| &answer.event).collect::<Vec<_>>()[..].try_into().unwrap();
    let first = &first["results"][0];
    assert_eq!((&first["device"], &first["sequence"], &first["status"]), (&json!("s7"), &json!(1), &json!(200)));
    assert_eq!((&first["body"]["outcome"], &first["body"]["booked"]), (&json!("applied"), &json!(-3)));
    assert_eq!(second["results"][0]["body"]["outcome"], "duplicate");
    assert_eq!((&second["results"][1]["device"], &second["results"][1]["status"]), (&json!("s8"), &json!(200)));
    assert_eq!(second["results"][2]["problem"]["errors"][0]["pointer"], "/items/2/count", "{second}");
    assert_eq!(second["results"][2]["sequence"], 2);
    assert_eq!(unreadable["type"], "/problems/malformed-request", "{unreadable}");
    assert_eq!(empty["errors"][0]["pointer"], "/items", "{empty}");
    assert_eq!(stranger["status"], 404, "{stranger}");
    let document: Value = serde_json::from_str(include_str!("../../asyncapi/asyncapi.json")).unwrap();
    let mut schema = document["components"]["messages"]["answer"]["payload"].clone();
    schema["components"] = document["components"].clone();
    for answer in &answers {
        assert!(jsonschema::is_valid(&schema, &answer.event), "{}", answer.event);
    }

    let audit = server.list("/v1/audit?limit=50").await;
    let found = audit.iter().find(|change| change["by"]["kind"] == "broker").expect("the audit trail tells of it");
    assert_eq!(found["path"], "stockhold/feeds/scales/stock");
    assert_eq!(found["subject"], "/v1/feeds/scales");
    server.assert_clean().await;
}

/// While the server is killed, alone and with its Postgres, and the broker restarted, each report is taken once.
#[tokio::test(flavor = "multi_thread")]
async fn reports_outlive_servers_and_brokers() {
    let mut mqtt = Broker::mosquitto("allow_anonymous true").await;
    let home = server::place();
    let url = format!("mqtt://127.0.0.1:{}", mqtt.port);
    let start = || {
        let mut command = server::serve_command(home.path(), &home.path().join("data"));
        command.env("STOCKHOLD_MQTT_URL", &url).env("STOCKHOLD_MQTT_REPORTS", "true");
        server::Server::run(command, home.path())
    };
    let mut running = start();
    let key = running.key.clone().expect("a first start prints a key");
    running.post("/v1/warehouses", &key, r#"{"code": "MAIN", "name": "Main"}"#);
    running.post("/v1/products", &key, r#"{"sku": "TEA", "name": "Tea"}"#);
    running.put("/v1/feeds/scales", &key, r#"{"name": "Scales", "warehouse": "MAIN"}"#);
    let device = Device::that_reports("scale", mqtt.port).await;
    server::within(server::LONG, "it is subscribed", || {
        let (_, states) = running.get("/v1/brokers", &key);
        states["items"][1]["connected"] == true
    });
    let mut sequence = 0;
    for round in 0..4 {
        for _ in 0..100 {
            sequence += 1;
            let report = json!({"sku": "TEA", "sequence": sequence, "reported_at": Timestamp::now(), "change": 1});
            device.report("scales", report.to_string()).await;
        }
        match round {
            0 => running.process.kill(),
            1 => server::signal(server::postmaster(&home.path().join("data")), Signal::KILL),
            2 => {
                tokio::time::sleep(Duration::from_secs(1)).await; // until the broker has what the device sent
                mqtt.stop();
                mqtt.start_again().await;
            }
            _ => {}
        }
        if round == 0 {
            running = start();
        }
    }
    server::within(server::LONG, "every report is taken", || {
        let (_, level) = running.get("/v1/stock/TEA/levels/MAIN", &key);
        level["on_hand"] == sequence
    });
    tokio::time::sleep(Duration::from_secs(1)).await; // whatever is taken twice is taken now
    let (_, level) = running.get("/v1/stock/TEA/levels/MAIN", &key);
    assert_eq!(level["on_hand"], sequence, "{level}");
    let (_, check) = running.get("/v1/self-check", &key);
    assert_eq!(check["differences"], json!([]), "{check}");
    assert!(running.process.stop().success());
}

#[tokio::test]
async fn one_of_two_servers_takes_reports_and_the_other_takes_over() {
    let mqtt = Broker::mosquitto("allow_anonymous true").await;
    let device = Device::that_reports("scale", mqtt.port).await;
    let [first, second] = Server::pair_with(reporting(&mqtt)).await;
    first.shop(&[("TEA", 0)]).await;
    first.put("/v1/feeds/scales", json!({"name": "Scales", "warehouse": "MAIN"})).await.expect(200);
    connected(&second, "mqtt_reports", true).await;
    let change = |sequence: usize| {
        json!({"sku": "TEA", "sequence": sequence, "reported_at": Timestamp::now(), "change": 1}).to_string()
    };
    device.report("scales", change(1)).await;
    assert_eq!(device.answers(1).await.len(), 1);
    first.stop().await;
    device.report("scales", change(2)).await;
    let answers = device.answers(2).await;
    assert_eq!(answers[1].event["results"][0]["body"]["outcome"], "applied");
    assert_eq!(second.level("TEA", "MAIN").await["on_hand"], 2);
    assert_no_deadlocks([second]).await;
}

/// A certificate authority, and a server's certificate of its: their files.
fn certificates(home: &Path) -> (String, String, String) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(ca, ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    let write = |name: &str, text: String| {
        std::fs::write(home.join(name), text).unwrap();
        home.join(name).display().to_string()
    };
    (write("ca.pem", ca.pem()), write("cert.pem", certificate.pem()), write("key.pem", key.serialize_pem()))
}

#[tokio::test]
async fn connections_are_encrypted_where_the_address_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certificates(home.path());
    let nats = Broker::nats(&format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}")).await;
    let mqtt = Broker::mosquitto(&format!("allow_anonymous true\ncertfile {certificate}\nkeyfile {key}")).await;
    let with = |ca: &str| {
        config(
            json!({"url": format!("tls://localhost:{}", nats.port), "ca": ca, "from": "beginning"}),
            json!({"url": format!("mqtts://localhost:{}", mqtt.port), "ca": ca, "from": "beginning"}),
        )
    };
    let options = {
        let tls = TlsConfiguration::Simple { ca: std::fs::read(&ca).unwrap(), alpn: None, client_auth: None };
        let mut options = MqttOptions::new("device", "localhost", mqtt.port);
        options.set_transport(Transport::tls_with_config(tls));
        options
    };
    let device = Device::subscribed(options).await;
    let server = Server::with(with(&ca)).await;
    server.product("TEA").await;
    for name in ["nats", "mqtt"] {
        connected(&server, name, true).await;
    }
    assert_eq!(device.heard(1).await.len(), 1);
    let other = tempfile::tempdir().unwrap();
    let (stranger, ..) = certificates(other.path());
    let deceived = Server::with(with(&stranger)).await;
    for name in ["nats", "mqtt"] {
        eventually("it is not trusted", async || {
            state(&deceived, name).await["last_error"].as_str().is_some_and(|error| error.contains("ertificate"))
        })
        .await;
    }
}

/// A broker that answers nothing, though its connection stands, is away as well; and nothing waits for it at the end.
#[tokio::test]
async fn brokers_that_hang_hold_nothing_up() {
    let (nats, mqtt) = (Broker::nats("").await, Broker::mosquitto("allow_anonymous true").await);
    let device = Device::at(mqtt.port).await;
    let server = Server::with(of(&nats, &mqtt)).await;
    server.shop(&[("TEA", 1)]).await;
    for name in ["nats", "mqtt"] {
        connected(&server, name, true).await;
    }
    nats.signal(Signal::STOP);
    mqtt.signal(Signal::STOP);
    for _ in 0..20 {
        server.stock("TEA", "MAIN", 1).await;
    }
    for name in ["nats", "mqtt"] {
        connected(&server, name, false).await;
    }
    let begun = std::time::Instant::now();
    let next = server.joined_by(of(&nats, &mqtt)).await;
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?} to stop", begun.elapsed());
    nats.signal(Signal::CONT);
    mqtt.signal(Signal::CONT);
    for name in ["nats", "mqtt"] {
        connected(&next, name, true).await;
    }
    assert_eq!(compare(&next, &nats, &device).await.0, 0, "the stream drops what it has already");
}
