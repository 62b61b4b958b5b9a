//! The shop's own labels.

use serde_json::{Value, json};

use super::{Printed, has, of, open, order_of, path, read};
use crate::harness::{Server, each};

#[tokio::test]
async fn a_label_is_drawn_and_its_barcode_reads_back() {
    let server = Server::start().await;
    open(&server, &[("TEA", 100)]).await;
    let order = order_of(&server, "TEA").await;
    let parcel = json!({"weight": 1200, "length": 300, "width": 200, "height": 100});
    let new = json!({
        "provider": "manual", "warehouse": "MAIN", "carrier": "Royal Mail", "service": "Tracked 48",
        "tracking_number": "RM 123-456~789GB", "parcel": parcel,
    });
    let made = server.post(&of(&order, "/labels"), new).await;
    assert_eq!(made.header("location"), Some(&*path(&made.json)));
    let label = made.expect(201);
    assert_eq!((&label["status"], &label["order_number"]), (&json!("bought"), &order["number"]));
    assert_eq!((&label["parcel"], &label["cost"], &label["warehouse"]), (&parcel, &Value::Null, &json!("MAIN")));
    assert_eq!(read(&server, &label).await, label);

    let answer = server.get(&format!("{}/pdf", path(&label))).await;
    assert!(answer.header("content-disposition").unwrap().contains(".pdf"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let printed = Printed::new(&answer);
    let number = format!("Order {}", order["number"]);
    has(
        printed.text().as_deref(),
        &[
            "Main Dock",
            "12 Dock Road",
            "Zoë 李小龍",
            "1 Châtelet Street",
            "LS1 1AA Leeds",
            "Royal Mail",
            "Tracked 48",
            &number,
            "1200 g",
        ],
    );
    has(printed.facts().as_deref(), &["288 x 432 pts"]);
    if let Some(read) = printed.barcodes() {
        assert_eq!(read.trim(), "RM 123-456~789GB");
    }
    // The same paper is made of the same bytes.
    assert_eq!(server.get(&format!("{}/pdf", path(&label))).await.bytes, answer.bytes);

    let told = server.events("label.bought,label.voided").await;
    assert_eq!((told.len(), &told[0]["data"]), (1, &label));
    server.assert_clean().await;
}

#[tokio::test]
async fn without_a_tracking_number_the_order_s_is_the_barcode() {
    let server = Server::start().await;
    open(&server, &[("TEA", 100)]).await;
    for number in [None, Some("123456789012345678901"), Some("9400110200881234567890"), Some("7"), Some("~")] {
        let order = order_of(&server, "TEA").await;
        let new = json!({"provider": "manual", "warehouse": "MAIN", "carrier": "Bike", "tracking_number": number});
        let new: Value = match number {
            Some(_) => new,
            None => json!({"provider": "manual", "warehouse": "MAIN", "carrier": "Bike"}),
        };
        let label = server.post(&of(&order, "/labels"), new).await.expect(201);
        let printed = Printed::new(&server.get(&format!("{}/pdf", path(&label))).await);
        if let Some(read) = printed.barcodes() {
            assert_eq!(read.trim(), number.map_or(order["number"].to_string(), str::to_owned));
        }
    }
}

#[tokio::test]
async fn whatever_somebody_is_called_it_fits_on_the_label() {
    let server = Server::start().await;
    open(&server, &[("TEA", 100)]).await;
    let names = ["محمد بن سلمان", "Яна Каренина", "김민준", "ปราณี", "שרה Levi", "अनीता", "😀", "A\u{301}\u{200d}"];
    let long = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch ".repeat(3);
    for name in names.into_iter().chain([long.trim()]) {
        let order = json!({
            "lines": [{"sku": "TEA", "quantity": 1}], "customer": {"name": name},
            "shipping_address": {
                "line1": "x".repeat(200), "line2": long.trim(), "city": "Y".repeat(100), "region": "Z".repeat(100),
                "postal_code": "12345678901234567890", "country": "GB"
            },
        });
        let order = server.post("/v1/orders", order).await.expect(201);
        let new = json!({"provider": "manual", "warehouse": "MAIN", "carrier": "W".repeat(100), "tracking_number": "A".repeat(40)});
        let label = server.post(&of(&order, "/labels"), new).await.expect(201);
        let printed = Printed::new(&server.get(&format!("{}/pdf", path(&label))).await);
        has(printed.facts().as_deref(), &["Pages:           1"]);
        has(printed.text().as_deref(), &["12345678901234567890", &"A".repeat(40)]);
        if let Some(read) = printed.barcodes() {
            assert_eq!(read.trim(), "A".repeat(40));
        }
    }
}

#[tokio::test]
async fn a_label_is_voided_once_and_not_printed_then() {
    let server = Server::start().await;
    open(&server, &[("TEA", 100)]).await;
    let order = order_of(&server, "TEA").await;
    let new = json!({"provider": "manual", "warehouse": "MAIN", "carrier": "DPD"});
    let labels = of(&order, "/labels");
    let once = server.post_once(&labels, "a", new.clone()).await.expect(201);
    assert_eq!(server.post_once(&labels, "a", new.clone()).await.expect(201), once, "it is the same call");
    let other = server.post(&labels, new).await.expect(201);

    let void = format!("{}/void", path(&once));
    let stale = crate::harness::send(server.request(reqwest::Method::POST, &void).header("If-Match", "\"x\"")).await;
    stale.refused(412, "precondition-failed");
    let voided = server.post(&void, Value::Null).await;
    assert_eq!(voided.status, 200);
    assert_eq!(voided.json["status"], "voided");
    server.post(&void, Value::Null).await.refused(409, "invalid-state");
    server.get(&format!("{}/pdf", path(&once))).await.refused(409, "invalid-state");
    assert_eq!(server.events("label.voided").await.len(), 1);

    let all = server.list(&format!("/v1/labels?order_id={}&limit=1", order["id"].as_str().unwrap())).await;
    assert_eq!(each(&all, "id"), [&other["id"], &once["id"]]);
    assert_eq!(each(&server.list("/v1/labels?status=voided&warehouse=MAIN").await, "id"), [&once["id"]]);
    assert_eq!(server.list("/v1/labels?warehouse=ELSEWHERE").await, Vec::<Value>::new());
    server.assert_clean().await;
}

#[tokio::test]
async fn what_cannot_be_sent_has_no_label() {
    let server = Server::start().await;
    server.shop(&[("TEA", 100)]).await;
    let order = order_of(&server, "TEA").await;
    let new = json!({"provider": "manual", "warehouse": "MAIN", "carrier": "DPD"});
    let labels = of(&order, "/labels");
    server.post(&labels, new.clone()).await.invalid(&["/warehouse no_address"]);
    let nowhere = json!({"provider": "manual", "warehouse": "NOWHERE", "carrier": "DPD"});
    server.post(&labels, nowhere).await.invalid(&["/warehouse unknown"]);
    let address = json!({"line1": "12 Dock Road", "city": "London", "country": "GB"});
    server.patch("/v1/warehouses/MAIN", json!({"address": address})).await.expect(200);

    let empty = json!({"provider": "manual", "rate_id": "0193a1b2-0000-7000-8000-000000000000", "parcel": {"weight": 1, "width": 1}});
    let faults = ["/rate_id unexpected", "/warehouse required", "/carrier required", "/parcel incomplete"];
    server.post(&labels, empty).await.invalid(&faults);
    let odd = json!({"provider": "manual", "warehouse": "MAIN", "carrier": "", "tracking_number": "é", "parcel": {"weight": 0}});
    server.post(&labels, odd).await.invalid(&[
        "/carrier min_length",
        "/tracking_number pattern",
        "/parcel/weight minimum",
    ]);
    // Nobody sells any here.
    let rate = json!({"provider": "easypost", "rate_id": "0193a1b2-0000-7000-8000-000000000000"});
    server.post(&labels, rate).await.invalid(&["/provider unavailable"]);
    let asked = json!({"warehouse": "MAIN", "parcel": {"weight": 500}});
    let none = server.post(&of(&order, "/labels/rates"), asked.clone()).await.expect(200);
    assert_eq!(none, json!({"items": [], "messages": []}));

    let homeless = server.order("TEA", 1).await;
    server.post(&of(&homeless, "/labels"), new.clone()).await.refused(409, "invalid-state");
    server.post(&of(&homeless, "/labels/rates"), asked).await.refused(409, "invalid-state");
    server.post(&of(&order, "/cancel"), json!({})).await.expect(200);
    server.post(&labels, new).await.refused(409, "invalid-state");
    server
        .post("/v1/orders/999999/labels", json!({"provider": "manual", "warehouse": "MAIN", "carrier": "x"}))
        .await
        .refused(404, "not-found");
    assert_eq!(server.list("/v1/labels").await, Vec::<Value>::new());
    server.assert_clean().await;
}
