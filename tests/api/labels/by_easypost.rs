//! EasyPost, as a stand-in plays it that loses requests and answers.

use futures::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use stockhold::carriers::Settings;
use stockhold::config::Config;

use super::stand_in::{API_KEY, EasyPost, KEPT, UNPAYABLE, WEBHOOK_SECRET};
use super::{of, open, order_of, path, read};
use crate::harness::{Answer, Server, each, eventually, send};

pub fn config(url: &str) -> Config {
    let carriers = Settings {
        shop_name: "The Tea Shop".to_owned(),
        easypost_api_key: API_KEY.to_owned(),
        easypost_webhook_secret: WEBHOOK_SECRET.to_owned(),
        easypost_api_base: url.to_owned(),
        easypost_retry_seconds: 1,
        ..Settings::default()
    };
    Config { carriers, ..Config::default() }
}

pub fn signed(body: &str) -> String {
    // As NFKD has the secret: the accent is a character of its own.
    let key = WEBHOOK_SECRET.replace('\u{e9}', "e\u{301}");
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hmac-sha256-hex={digest}")
}

pub async fn hear(server: &Server, body: &str, signature: &str) -> Answer {
    let request = server.anonymous(Method::POST, "/v1/carriers/easypost/webhook").header("X-Hmac-Signature", signature);
    send(request.header("Content-Type", "application/json").body(body.to_owned())).await
}

async fn shop() -> (EasyPost, Server) {
    let easypost = EasyPost::start().await;
    let server = Server::with(config(&easypost.url)).await;
    open(&server, &[("TEA", 1000)]).await;
    (easypost, server)
}

/// Rates for a parcel of so many grams, asked for until they come.
async fn rates(server: &Server, order: &Value, weight: i64) -> Value {
    let asked = json!({"warehouse": "MAIN", "parcel": {"weight": weight}});
    loop {
        let answer = server.post(&of(order, "/labels/rates"), asked.clone()).await;
        if answer.status == 200 {
            return answer.json;
        }
        answer.refused(503, "unavailable");
    }
}

async fn buy(server: &Server, order: &Value, weight: i64) -> Value {
    let rate = rates(server, order, weight).await["items"][0]["rate_id"].clone();
    let label = server.post(&of(order, "/labels"), json!({"provider": "easypost", "rate_id": rate})).await.expect(202);
    assert_eq!((&label["status"], &label["tracking_number"]), (&json!("buying"), &Value::Null));
    label
}

async fn becomes(server: &Server, label: &Value, status: &str) -> Value {
    eventually(&format!("the label is {status}"), || async { read(server, label).await["status"] == status }).await;
    read(server, label).await
}

async fn bought(server: &Server, order: &Value) -> Value {
    becomes(server, &buy(server, order, 500).await, "bought").await
}

/// Sends an event as EasyPost does.
async fn tell(server: &Server, id: &str, result: &Value) -> Answer {
    let body = json!({"id": id, "object": "Event", "description": "tracker.updated", "result": result}).to_string();
    hear(server, &body, &signed(&body)).await
}

fn detail(status: &str, time: &str, message: &str) -> Value {
    let place = json!({"object": "TrackingLocation", "city": "LEEDS", "state": null, "country": "GB"});
    json!({"message": message, "status": status, "datetime": time, "tracking_location": place})
}

fn shipment_of(label: &Value) -> String {
    label["provider_reference"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_label_is_bought_at_a_rate_printed_and_told_of() {
    let (easypost, server) = shop().await;
    let order = order_of(&server, "TEA").await;
    let found = rates(&server, &order, 454).await;
    let items = found["items"].as_array().unwrap();
    assert_eq!(each(items, "service"), ["GroundAdvantage", "Priority"], "the cheapest first");
    assert_eq!(
        (&items[0]["price"], &items[0]["delivery_days"]),
        (&json!({"amount": 549, "currency": "USD"}), &Value::Null)
    );
    assert_eq!((&items[1]["delivery_days"], &found["messages"]), (&json!(2), &json!(["UPS: no account"])));
    let asked = easypost.shipment("shp_0001").asked;
    assert_eq!(
        (&asked["parcel"], &asked["reference"]),
        (&json!({"weight": 16.1}), &json!(format!("order {} from MAIN", order["number"])))
    );
    assert_eq!(
        (&asked["from_address"]["name"], &asked["from_address"]["street1"]),
        (&json!("The Tea Shop"), &json!("12 Dock Road"))
    );
    let to = &asked["to_address"];
    assert_eq!(
        [&to["name"], &to["zip"], &to["country"], &to["email"]],
        ["Zoë 李小龍", "LS1 1AA", "GB", "zoe@example.com"]
    );

    let labels = of(&order, "/labels");
    let new = json!({"provider": "easypost", "rate_id": items[1]["rate_id"]});
    let label = server.post(&labels, new.clone()).await.expect(202);
    assert_eq!(
        (&label["carrier"], &label["service"], &label["cost"]),
        (&json!("USPS"), &json!("Priority"), &items[1]["price"])
    );
    let label = becomes(&server, &label, "bought").await;
    assert_eq!(label["tracking_number"], "EZ100000001");
    assert_eq!(easypost.shipment("shp_0001").rate.as_deref(), Some("rate_1_0001"));
    let printed = server.get(&format!("{}/pdf", path(&label))).await;
    assert_eq!((printed.status, printed.header("content-type")), (200, Some("application/pdf")));
    assert_eq!(printed.bytes, b"%PDF-1.4 the label of shp_0001");
    let told = server.events("label.bought,label.failed").await;
    assert_eq!((told.len(), &told[0]["data"]), (1, &label));

    // Of one parcel one label is bought, and rates are for their order.
    server.post(&labels, new).await.refused(409, "invalid-state");
    let other = order_of(&server, "TEA").await;
    let theirs = json!({"provider": "easypost", "rate_id": items[0]["rate_id"]});
    server.post(&of(&other, "/labels"), theirs).await.invalid(&["/rate_id unknown"]);
    assert_eq!(easypost.paid(), 1);
    server.assert_clean().await;
}

#[tokio::test]
async fn what_easypost_refuses_is_told_and_costs_nothing() {
    let (easypost, server) = shop().await;
    let order = order_of(&server, "TEA").await;
    let failed = becomes(&server, &buy(&server, &order, UNPAYABLE).await, "failed").await;
    assert_eq!(failed["last_error"], "There is not enough money. (402)");
    server.get(&format!("{}/pdf", path(&failed))).await.refused(409, "invalid-state");
    assert_eq!(server.events("label.failed").await.len(), 1);
    let nowhere = json!({
        "lines": [{"sku": "TEA", "quantity": 1}], "shipping_address": {"line1": "1", "city": "Nowhere", "country": "GB"},
    });
    let nowhere = server.post("/v1/orders", nowhere).await.expect(201);
    let asked = json!({"warehouse": "MAIN", "parcel": {"weight": 500}});
    let refused = server.post(&of(&nowhere, "/labels/rates"), asked.clone()).await.refused(422, "validation");
    assert_eq!(refused["errors"][0]["detail"], "Unable to find that address. (422)");
    let odd = json!({"warehouse": "MAIN", "parcel": {"weight": 500, "height": 1}});
    server.post(&of(&order, "/labels/rates"), odd).await.invalid(&["/parcel incomplete"]);

    // Nobody is there any more.
    let gone = Server::with(config("http://127.0.0.1:9")).await;
    open(&gone, &[("TEA", 10)]).await;
    let order = order_of(&gone, "TEA").await;
    gone.post(&of(&order, "/labels/rates"), asked).await.refused(503, "unavailable");
    let everything = format!("{}{}", server.dump().await, gone.dump().await);
    assert!(!everything.contains(API_KEY) && easypost.paid() == 0);
}

#[tokio::test]
async fn nothing_is_bought_for_an_order_that_was_cancelled_meanwhile() {
    let (easypost, server) = shop().await;
    let order = order_of(&server, "TEA").await;
    let rate = rates(&server, &order, 500).await["items"][0]["rate_id"].clone();
    easypost.books().is_away = true;
    let new = json!({"provider": "easypost", "rate_id": rate});
    let label = server.post(&of(&order, "/labels"), new).await.expect(202);
    eventually("it was tried", || async { read(&server, &label).await["last_error"].is_string() }).await;
    server.post(&of(&order, "/cancel"), json!({})).await.expect(200);
    easypost.books().is_away = false;
    let label = becomes(&server, &label, "failed").await;
    assert_eq!((&label["last_error"], easypost.paid()), (&json!("the order was cancelled"), 0));
    server.assert_clean().await;
}

#[tokio::test]
async fn what_is_voided_waits_until_easypost_has_taken_it_back() {
    let (easypost, server) = shop().await;
    let order = order_of(&server, "TEA").await;
    let label = bought(&server, &order).await;
    let shipment = shipment_of(&label);
    let voiding = server.post(&format!("{}/void", path(&label)), Value::Null).await.expect(202);
    assert_eq!(voiding["status"], "voiding");
    eventually("it is asked for", || async { easypost.shipment(&shipment).refund == Some("submitted") }).await;
    server.get(&format!("{}/pdf", path(&label))).await.refused(409, "invalid-state");
    server.post(&format!("{}/void", path(&label)), Value::Null).await.refused(409, "invalid-state");
    easypost.change(&shipment, |it| it.refund = Some("refunded"));
    let refund = json!({"object": "Refund", "shipment_id": shipment, "status": "refunded"});
    assert_eq!(tell(&server, "evt_1", &refund).await.status, 204);
    becomes(&server, &label, "voided").await;
    assert_eq!(server.events("label.voided").await.len(), 1);

    // One that is not taken back can be used.
    let label = becomes(&server, &buy(&server, &order, KEPT).await, "bought").await;
    server.post(&format!("{}/void", path(&label)), Value::Null).await.expect(202);
    let label = becomes(&server, &label, "bought").await;
    assert_eq!(label["last_error"], "the provider does not take it back");
    assert_eq!(server.get(&format!("{}/pdf", path(&label))).await.status, 200);

    // Nobody tells, so the books are asked after a while.
    let silent = bought(&server, &order).await;
    server.post(&format!("{}/void", path(&silent)), Value::Null).await.expect(202);
    let shipment = shipment_of(&silent);
    eventually("it is asked for", || async { easypost.shipment(&shipment).refund == Some("submitted") }).await;
    easypost.change(&shipment, |it| it.refund = Some("refunded"));
    server.sql("UPDATE carriers.labels SET looked_at = looked_at - interval '4 hours'").await.unwrap();
    server.app.carriers.watch().await.unwrap();
    becomes(&server, &silent, "voided").await;
    server.assert_clean().await;
}

#[tokio::test]
async fn messages_may_be_late_twice_and_in_any_order_but_not_forged() {
    let (easypost, server) = shop().await;
    let order = order_of(&server, "TEA").await;
    let label = bought(&server, &order).await;
    let shipment = shipment_of(&label);
    let (accepted, sorted) = (
        detail("in_transit", "2026-01-02T10:00:00Z", "Accepted"),
        detail("in_transit", "2026-01-03T10:00:00", "Sorted"),
    );
    let delivered = detail("delivered", "2026-01-04T10:00:00Z", "In the box");
    easypost.change(&shipment, |it| it.details = vec![accepted.clone()]);
    let early = easypost.tracker(&shipment);
    // Before it leaves here, nobody asks where it is.
    assert_eq!(tell(&server, "evt_1", &early).await.status, 204);

    let parcel = json!({"warehouse": "MAIN", "carrier": label["carrier"], "tracking_number": label["tracking_number"]});
    let sent = server.post(&of(&order, "/shipments"), parcel).await.expect(201);
    let tracking = of(&order, &format!("/shipments/{}/tracking", sent["id"].as_str().unwrap()));
    assert_eq!(server.get(&tracking).await.expect(200)["events"], json!([]));
    easypost.change(&shipment, |it| it.details = vec![accepted, sorted]);
    let on_its_way = easypost.tracker(&shipment);
    easypost.change(&shipment, |it| it.details.push(delivered));
    let arrived = easypost.tracker(&shipment);

    let body = json!({"id": "evt_2", "object": "Event", "result": arrived}).to_string();
    for signature in ["", "hmac-sha256-hex=", &signed("{}"), &signed(&body).replace("hmac-sha256-hex=", "")] {
        hear(&server, &body, signature).await.refused(400, "malformed-request");
    }
    let nonsense = signed("[]");
    hear(&server, "[]", &nonsense).await.refused(400, "malformed-request");
    assert_eq!(server.get(&tracking).await.expect(200)["events"], json!([]), "nothing of that counts");

    assert_eq!(tell(&server, "evt_3", &arrived).await.status, 204);
    let known = server.get(&tracking).await.expect(200);
    assert_eq!((&known["status"], &known["delivered_at"]), (&json!("delivered"), &json!("2026-01-04T10:00:00.000Z")));
    assert_eq!(each(known["events"].as_array().unwrap(), "description"), ["In the box", "Sorted", "Accepted"]);
    assert_eq!(known["events"][0]["place"], "LEEDS, GB");
    for (id, result) in [("evt_3", &arrived), ("evt_4", &arrived), ("evt_5", &on_its_way), ("evt_6", &early)] {
        assert_eq!(tell(&server, id, result).await.status, 204);
    }
    assert_eq!(server.get(&tracking).await.expect(200), known);
    assert_eq!(server.get(&of(&order, "")).await.expect(200)["status"], "completed");
    assert_eq!(server.events("shipment.delivered").await.len(), 1);
    // Of what is not ours, nothing is known.
    let theirs = json!({"object": "Tracker", "tracking_code": "OTHER", "tracking_details": []});
    assert_eq!(tell(&server, "evt_7", &theirs).await.status, 204);
    assert_eq!(tell(&server, "evt_8", &json!({"object": "Batch"})).await.status, 204);

    let deaf = Server::start().await;
    hear(&deaf, &body, &signed(&body)).await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn what_nobody_tells_is_asked_for_after_a_while() {
    let (easypost, server) = shop().await;
    let order = order_of(&server, "TEA").await;
    let label = bought(&server, &order).await;
    let shipment = shipment_of(&label);
    let parcel = json!({"warehouse": "MAIN", "carrier": "USPS", "tracking_number": label["tracking_number"]});
    let sent = server.post(&of(&order, "/shipments"), parcel).await.expect(201);
    let arrived = detail("delivered", "2026-01-04T10:00:00Z", "In the box");
    easypost.change(&shipment, |it| it.details = vec![arrived, detail("in_transit", "2999-01-01T00:00:00Z", "?")]);
    server.sql("UPDATE carriers.labels SET looked_at = looked_at - interval '4 hours'").await.unwrap();
    server.app.carriers.watch().await.unwrap();
    let tracking = of(&order, &format!("/shipments/{}/tracking", sent["id"].as_str().unwrap()));
    eventually("it has arrived", || async { server.get(&tracking).await.expect(200)["status"] == "delivered" }).await;
    assert_eq!(server.get(&tracking).await.expect(200)["events"].as_array().unwrap().len(), 1, "not what is to come");
    server.assert_clean().await;
}

#[tokio::test]
async fn who_is_forgotten_is_on_no_label() {
    let (_easypost, server) = shop().await;
    let customer = server.post("/v1/customers", json!({"name": "Planted Name"})).await.expect(201);
    let order = json!({
        "lines": [{"sku": "TEA", "quantity": 1}], "customer_id": customer["id"],
        "shipping_address": {"line1": "1 Planted Street", "city": "Leeds", "country": "GB"},
    });
    let order = server.post("/v1/orders", order).await.expect(201);
    let label = bought(&server, &order).await;
    let parcel = json!({"warehouse": "MAIN", "tracking_number": label["tracking_number"]});
    let sent = server.post(&of(&order, "/shipments"), parcel).await.expect(201);
    server
        .post(&of(&order, &format!("/shipments/{}/deliver", sent["id"].as_str().unwrap())), json!({}))
        .await
        .expect(200);
    let who = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    let export = server.get(&format!("{who}/export")).await.expect(200);
    assert!(export.to_string().contains(label["id"].as_str().unwrap()), "{export}");
    server.post(&format!("{who}/erase"), json!({})).await.expect(200);
    let after = read(&server, &label).await;
    assert_eq!((&after["tracking_number"], &after["cost"]), (&Value::Null, &label["cost"]));
    server.get(&format!("{}/pdf", path(&label))).await.refused(409, "invalid-state");
}

/// Whatever is lost on the way, at whichever of two servers: each label is paid once, and each void is asked for once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_requests_and_answers_buy_nothing_twice() {
    let easypost = EasyPost::start().await;
    let servers = Server::pair_with(config(&easypost.url)).await;
    open(&servers[0], &[("TEA", 1000)]).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    easypost.lose(seed);
    let mut orders = Vec::new();
    for _ in 0..24 {
        orders.push(order_of(&servers[0], "TEA").await);
    }
    let buyer = |n: usize| {
        let (server, order) = (&servers[n % 2], &orders[n]);
        async move {
            let label = buy(server, order, 500).await;
            let label = becomes(server, &label, "bought").await;
            if n.is_multiple_of(3) {
                server.post(&format!("{}/void", path(&label)), Value::Null).await.expect(202);
            }
            label
        }
    };
    let labels = join_all((0..orders.len()).map(buyer)).await;
    for (n, label) in labels.iter().enumerate() {
        let shipment = shipment_of(label);
        let is_asked = || async { easypost.shipment(&shipment).refund.is_some() };
        if n.is_multiple_of(3) {
            eventually("it is taken back", is_asked).await;
        } else {
            assert!(!is_asked().await);
        }
        let shipment = easypost.shipment(&shipment);
        assert_eq!(shipment.paid, 1);
        assert!(shipment.rate.is_some_and(|rate| rate.starts_with("rate_2")), "at the rate that was asked for");
    }
    // What was paid is ours.
    assert_eq!(easypost.paid(), 24);
    assert_eq!(servers[0].events("label.bought").await.len(), 24);
    for server in &servers {
        server.assert_clean().await;
    }
}
