//! Carriers: where shipments are, and the page on which customers see it.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Server, send};

/// An order of three, of which two are on their way with Royal Mail.
async fn on_its_way(server: &Server) -> (Value, Value) {
    server.shop(&[("TEA", 10)]).await;
    let order = json!({
        "lines": [{"sku": "TEA", "quantity": 3, "unit_price": {"amount": 4711, "currency": "EUR"}}],
        "customer": {"name": "Ada Shopper", "email": "ada@example.com", "phone": "0113 496 0000"},
        "shipping_address": {"line1": "1 Secret Street", "city": "Leeds", "country": "GB"}, "note": "behind the shed",
    });
    let order = server.post("/v1/orders", order).await.expect(201);
    let parcel = json!({
        "warehouse": "MAIN", "lines": [{"sku": "TEA", "quantity": 2}], "carrier": "Royal Mail", "tracking_number": "RM1<b>",
    });
    let shipment = server.post(&format!("/v1/orders/{}/shipments", order["number"]), parcel).await.expect(201);
    (order, shipment)
}

fn tracking(order: &Value, shipment: &Value) -> String {
    format!("/v1/orders/{}/shipments/{}/tracking", order["number"], shipment["id"].as_str().unwrap())
}

fn report(status: &str, at: &str, description: &str) -> Value {
    json!({"status": status, "at": at, "description": description})
}

async fn page(server: &Server, path: &str) -> (Answer, String) {
    let answer = send(server.anonymous(Method::GET, path)).await;
    let html = server.anonymous(Method::GET, path).send().await.unwrap().text().await.unwrap();
    (answer, html)
}

#[tokio::test]
async fn reports_count_once_in_any_order_and_the_newest_tells_where_it_is() {
    let server = Server::start().await;
    let (order, shipment) = on_its_way(&server).await;
    let path = tracking(&order, &shipment);
    let first = server.get(&path).await.expect(200);
    assert_eq!((&first["status"], &first["events"]), (&json!("unknown"), &json!([])));
    assert_eq!(first["tracking_url"], "https://www.royalmail.com/track-your-item#/tracking-results/RM1%3Cb%3E");

    let sorted = report("in_transit", "2026-01-02T10:00:00.000Z", "Sorted");
    let posted = report("pre_transit", "2026-01-01T10:00:00.000Z", "Announced");
    let out = report("out_for_delivery", "2026-01-03T10:00:00.000Z", "With the driver");
    assert_eq!(server.post(&path, sorted.clone()).await.expect(200)["status"], "in_transit");
    assert_eq!(server.post(&path, posted).await.expect(200)["status"], "in_transit", "that is older");
    let known = server.post(&path, out).await.expect(200);
    assert_eq!(server.post(&path, sorted).await.expect(200), known, "that was told before");
    assert_eq!(server.get(&path).await.expect(200), known);
    let seen: Vec<&str> = known["events"].as_array().unwrap().iter().map(|e| e["status"].as_str().unwrap()).collect();
    assert_eq!(seen, ["out_for_delivery", "in_transit", "pre_transit"]);
    let told = server.events("shipment.tracking_changed").await;
    let told: Vec<&Value> = told.iter().map(|event| &event["data"]["tracking"]["status"]).collect();
    assert_eq!(told, ["in_transit", "out_for_delivery"]);

    server.post(&path, json!({"status": "delivered", "at": "2999-01-01T00:00:00Z"})).await.invalid(&["/at future"]);
    let arrived = report("delivered", "2026-01-03T12:00:00.000Z", "Signed for");
    let delivered = server.post(&path, arrived.clone()).await.expect(200);
    assert_eq!((&delivered["status"], &delivered["delivered_at"]), (&json!("delivered"), &arrived["at"]));
    server.post(&path, arrived).await.expect(200);
    let read = server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200);
    assert_eq!(read["shipments"][0]["status"], "delivered");
    assert_eq!(read["shipments"][0]["delivered_at"], delivered["delivered_at"]);
    assert_eq!(server.events("shipment.delivered").await.len(), 1);
    let nobody = format!("/v1/orders/{}/shipments/0193a1b2-0000-7000-8000-000000000000/tracking", order["number"]);
    server.get(&nobody).await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_repeats_itself_at_two_servers_is_heard_once() {
    let servers = Server::pair().await;
    let (order, shipment) = on_its_way(&servers[0]).await;
    let path = tracking(&order, &shipment);
    let arrived = report("delivered", "2026-01-03T12:00:00.000Z", "Signed for");
    let answers = (0..20).map(|n| crate::races::post(&servers[n % 2], &path, arrived.clone()));
    for answer in join_all(answers).await {
        assert_eq!(answer.expect(200)["status"], "delivered");
    }
    assert_eq!(servers[0].get(&path).await.expect(200)["events"].as_array().unwrap().len(), 1);
    assert_eq!(servers[0].events("shipment.tracking_changed").await.len(), 1);
    assert_eq!(servers[0].events("shipment.delivered").await.len(), 1);
    crate::races::finish(servers).await;
}

#[tokio::test]
async fn a_customer_sees_where_the_order_is_and_nothing_else() {
    let mut config = stockhold::config::Config::default();
    config.carriers.shop_name = "Tea & Co".to_owned();
    config.public_url = Some("https://shop.example.com/".parse().unwrap());
    let server = Server::with(config).await;
    let (order, shipment) = on_its_way(&server).await;
    let make = format!("/v1/orders/{}/tracking-link", order["number"]);
    let made = send(server.request(Method::POST, &make)).await.expect(201);
    assert_eq!(send(server.request(Method::POST, &make)).await.expect(200), made, "an order has one");
    let path = made["url"].as_str().unwrap().strip_prefix("https://shop.example.com").unwrap().to_owned();
    assert!(path.starts_with("/track/") && path.len() == "/track/".len() + 43);

    let described = report("in_transit", "2026-01-02T10:00:00.000Z", "Sorted <script>alert(1)</script>");
    server.post(&tracking(&order, &shipment), described).await.expect(200);
    let (answer, html) = page(&server, &path).await;
    assert_eq!(answer.status, 200);
    for (name, wanted) in [("content-type", "text/html"), ("x-robots-tag", "noindex"), ("cache-control", "no-store")] {
        assert!(answer.header(name).unwrap().contains(wanted), "{name}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    for shown in [
        "Tea &amp; Co",
        "Order 1001",
        "On its way",
        "RM1&lt;b&gt;",
        "Sorted &lt;script&gt;",
        "2 January 2026",
        "still to come",
    ] {
        assert!(html.contains(shown), "{shown} is not in {html}");
    }
    let id = order["id"].as_str().unwrap();
    for hidden in ["Ada", "ada@", "0113", "Secret", "Leeds", "shed", "4711", "TEA", "<script", "<b>", id] {
        assert!(!html.contains(hidden), "{hidden} is in {html}");
    }

    let another = if path.ends_with('A') { 'E' } else { 'A' };
    for none in ["/track/x", &format!("{}{another}", &path[..path.len() - 1]), &format!("/track/{}", "%27".repeat(300))]
    {
        let (answer, html) = page(&server, none).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("text/html; charset=utf-8")));
        assert!(html.contains("does not lead to an order"));
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn own_carriers_stand_beside_those_that_are_known() {
    let mut config = stockhold::config::Config::default();
    config.carriers.templates =
        "Bike Post=https://bike.example.com/{number}; DHL=https://dhl.example.com/{number}".to_owned();
    let server = Server::with(config).await;
    let all = server.get("/v1/carriers").await.expect(200);
    let link = |code: &str| {
        let all = all["items"].as_array().unwrap();
        all.iter().filter(|carrier| carrier["code"] == code).map(|it| it["link_template"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(link("bike-post"), ["https://bike.example.com/{number}"]);
    assert_eq!(link("dhl"), ["https://dhl.example.com/{number}"], "one's own goes before");
    assert_eq!(link("ups").len(), 1);
}
