//! Packing slips.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Printed, has, of, open, order_of};
use crate::harness::{Server, send};

#[tokio::test]
async fn a_slip_says_what_lies_in_the_parcel_and_no_prices() {
    let server = Server::start().await;
    open(&server, &[("TEA", 100)]).await;
    server.warehouse("LEEDS").await;
    server.patch("/v1/products/TEA", json!({"name": "Tee «Grüner Drache» 綠茶"})).await.expect(200);
    let order = order_of(&server, "TEA").await;
    let slip = of(&order, "/packing-slip?warehouse=MAIN");
    let answer = server.get(&slip).await;
    let printed = Printed::new(&answer);
    let number = format!("Order {}", order["number"]);
    let text = printed.text();
    let parts =
        ["Packing slip", "Zoë 李小龍", "1 Châtelet Street", "TEA", "Tee «Grüner Drache» 綠茶", "Main Dock", "WEB-77"];
    has(text.as_deref(), &parts);
    has(text.as_deref(), &[&number, "page 1 of 1"]);
    if let Some(text) = &text {
        assert!(!text.contains("47.11") && !text.contains("4711") && !text.contains("EUR"), "{text}");
    }
    if let Some(read) = printed.barcodes() {
        assert_eq!(read.trim(), order["number"].to_string());
    }

    let sent = json!({
        "warehouse": "MAIN", "lines": [{"sku": "TEA", "quantity": 2}], "carrier": "DPD", "tracking_number": "D-42",
    });
    let shipment = server.post(&of(&order, "/shipments"), sent).await.expect(201);
    let of_shipment = of(&order, &format!("/shipments/{}/packing-slip", shipment["id"].as_str().unwrap()));
    has(Printed::new(&server.get(&of_shipment).await).text().as_deref(), &["By DPD", "D-42", "2"]);
    // One is left, and where is clear.
    assert_eq!(server.get(&of(&order, "/packing-slip")).await.bytes, server.get(&slip).await.bytes);
    server.post(&of(&order, "/shipments"), json!({"warehouse": "MAIN"})).await.expect(201);
    server.get(&slip).await.refused(409, "invalid-state");
    server.get(&of(&order, "/packing-slip?warehouse=LEEDS")).await.refused(409, "invalid-state");
    server.get(&of(&order, "/packing-slip")).await.refused(409, "invalid-state");
    let nobody = of(&order, "/shipments/0193a1b2-0000-7000-8000-000000000000/packing-slip");
    server.get(&nobody).await.refused(404, "not-found");
}

#[tokio::test]
async fn a_long_order_has_several_pages_and_all_of_it_is_there() {
    let server = Server::start().await;
    open(&server, &[]).await;
    let products: Vec<Value> = (0..120).map(|n| json!({"sku": format!("SKU-{n:03}-{}", "X".repeat(40)), "name": format!("Thing number {n} {}", "with a long name ".repeat(8))})).collect();
    server.post("/v1/products/batch", json!({"items": products})).await.expect(200);
    let stock: Vec<Value> = products
        .iter()
        .map(|it| json!({"sku": it["sku"], "warehouse": "MAIN", "change": 10, "reason": "received"}))
        .collect();
    server.post("/v1/stock/adjustments/batch", json!({"items": stock})).await.expect(200);
    let lines: Vec<Value> = products.iter().map(|it| json!({"sku": it["sku"], "quantity": 7})).collect();
    let order = server.post("/v1/orders", json!({"lines": lines})).await.expect(201);
    let printed = Printed::new(&server.get(&of(&order, "/packing-slip?warehouse=MAIN")).await);
    if let (Some(text), Some(facts)) = (printed.text(), printed.facts()) {
        for n in 0..120 {
            assert!(
                text.contains(&format!("SKU-{n:03}")) && text.contains(&format!("Thing number {n} ")),
                "{n} is missing"
            );
        }
        let pages = facts.lines().find_map(|line| line.strip_prefix("Pages:")).unwrap().trim();
        assert!(pages.parse::<i32>().unwrap() > 3, "{pages}");
        has(Some(&text), &[&format!("page 1 of {pages}"), &format!("page {pages} of {pages}")]);
    }
}

#[tokio::test]
async fn an_order_of_two_warehouses_has_a_slip_for_each() {
    let server = Server::start().await;
    open(&server, &[("TEA", 2)]).await;
    server.warehouse("LEEDS").await;
    server.stock("TEA", "LEEDS", 1).await;
    let order = order_of(&server, "TEA").await;
    server.get(&of(&order, "/packing-slip")).await.invalid(&["/query/warehouse required"]);
    for (warehouse, name) in [("MAIN", "From Main Dock"), ("LEEDS", "From LEEDS")] {
        let slip = server.get(&of(&order, &format!("/packing-slip?warehouse={warehouse}"))).await;
        has(Printed::new(&slip).text().as_deref(), &[name]);
    }
    let only = json!({"name": "Leeds", "scopes": ["orders:read"], "warehouses": ["LEEDS"]});
    let key = server.post("/v1/keys", only).await.expect(201)["key"].as_str().unwrap().to_owned();
    let get = |path: String| send(server.anonymous(Method::GET, &path).bearer_auth(&key));
    has(Printed::new(&get(of(&order, "/packing-slip")).await).text().as_deref(), &["From LEEDS"]);
    get(of(&order, "/packing-slip?warehouse=MAIN")).await.refused(403, "forbidden");
}
