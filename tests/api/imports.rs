//! Orders that were placed elsewhere.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Server, each};

async fn shop() -> [Server; 2] {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 5), ("MUG", 1)]).await;
    servers[0].channel("bay", &[("MAIN", 0)]).await;
    servers
}

fn sold(reference: &str, quantity: i64) -> Value {
    let line = json!({"sku": "TEA", "quantity": quantity, "unit_price": {"amount": 650, "currency": "EUR"}});
    json!({"reference": reference, "lines": [line], "customer": {"name": "Ada Shopper"}, "paid": {"method": "marketplace"}})
}

async fn import(server: &Server, order: &Value, status: u16) -> Value {
    server.post("/v1/channels/bay/orders", order.clone()).await.expect(status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reference_is_one_order_however_often_it_is_brought() {
    let servers = shop().await;
    let order = sold("302-1", 2);
    let bring = |n: usize| {
        let (server, order) = (&servers[n % 2], &order);
        async move { server.post("/v1/channels/bay/orders", order.clone()).await }
    };
    let answers = join_all((0..10).map(bring)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.status < 300));
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer.json["order"]["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // What it says later is no other order.
    let again = import(&servers[0], &sold("302-1", 3), 200).await;
    assert_eq!((&again["order"]["id"], &again["order"]["lines"][0]["quantity"]), (ids[0], &json!(2)));
    let order = &again["order"];
    assert_eq!((&order["channel"], &order["reference"]), (&json!("bay"), &json!("302-1")));
    assert_eq!((&order["payment_status"], &again["oversold"]), (&json!("paid"), &json!([])));
    let paid = servers[0].list(&format!("/v1/payments?order_id={}", order["id"].as_str().unwrap())).await;
    assert_eq!((paid.len(), &paid[0]["method"], &paid[0]["captured"]), (1, &json!("marketplace"), &json!(1300)));
    // The same reference of another channel is another order.
    servers[0].channel("mart", &[("MAIN", 0)]).await;
    servers[0].post("/v1/channels/mart/orders", sold("302-1", 1)).await.expect(201);
    assert_eq!(servers[0].available("TEA").await, 2);
    assert_eq!(servers[0].events("order.placed").await.len(), 2);
    assert_eq!(servers[0].events("order.flagged").await.len(), 0);

    let shipped = format!("/v1/orders/{}/shipments", order["number"]);
    servers[0].post(&shipped, json!({"warehouse": "MAIN"})).await.expect(201);
    let news = &servers[0].events("shipment.shipped").await[0]["data"];
    assert_eq!((&news["channel"], &news["reference"]), (&json!("bay"), &json!("302-1")));
    for server in &servers {
        server.assert_clean().await;
    }
}

#[tokio::test]
async fn what_is_not_there_waits_and_somebody_is_told() {
    let [server, _] = shop().await;
    import(&server, &sold("302-2", 4), 201).await;
    let oversold = import(&server, &sold("302-3", 3), 201).await;
    assert_eq!(oversold["oversold"], json!([{"sku": "TEA", "quantity": 2}]));
    let line = &oversold["order"]["lines"][0];
    assert_eq!((&line["allocated"], &line["backordered"]), (&json!(1), &json!(2)));
    assert_eq!(import(&server, &sold("302-3", 3), 200).await["oversold"], oversold["oversold"]);
    let flagged = server.events("order.flagged").await;
    assert_eq!((flagged.len(), &flagged[0]["data"]["reason"]), (1, &json!("oversold: 2 of TEA")));
    assert_eq!(server.available("TEA").await, 0);
    // Nobody else gets any, and what comes in is theirs.
    let lines = json!({"lines": [{"sku": "TEA", "quantity": 1}]});
    server.post("/v1/orders", lines).await.refused(409, "insufficient-stock");
    server.assert_clean().await;
    server.stock("TEA", "MAIN", 3).await;
    let served = server.get(&format!("/v1/orders/{}", oversold["order"]["number"])).await.expect(200);
    assert_eq!((&served["lines"][0]["allocated"], &served["lines"][0]["backordered"]), (&json!(3), &json!(0)));
    assert_eq!(server.available("TEA").await, 1);
    server.assert_clean().await;
}

#[tokio::test]
async fn what_the_channel_has_need_not_be_what_it_comes_to() {
    let [server, _] = shop().await;
    let paid = |reference: &str, paid: Value| {
        let mut order = sold(reference, 1);
        order["paid"] = paid;
        order
    };
    let less = import(&server, &paid("1", json!({"amount": 600})), 201).await;
    assert_eq!(less["order"]["payment_status"], "authorised");
    let more = import(&server, &paid("2", json!({"amount": 700})), 201).await;
    assert_eq!(more["order"]["payment_status"], "paid");
    let unpaid = import(&server, &paid("3", Value::Null), 201).await;
    assert_eq!(unpaid["order"]["payment_status"], "unpaid");
    let unpriced = json!({"reference": "4", "lines": [{"sku": "MUG", "quantity": 1}], "paid": {}});
    let unpriced = import(&server, &unpriced, 201).await;
    assert_eq!(unpriced["order"]["payment_status"], "unpaid");
    let told = server.events("order.flagged").await;
    let told: Vec<&Value> = each(&told, "data").into_iter().map(|data| &data["reason"]).collect();
    assert_eq!(
        told,
        [
            "600 were paid elsewhere, and it comes to 650",
            "700 were paid elsewhere, and it comes to 650",
            "it was paid elsewhere, and what its lines cost is not known",
        ]
    );

    let before = server.row_counts().await;
    server.post("/v1/channels/none/orders", sold("5", 1)).await.invalid(&["/channel unknown"]);
    let unknown = json!({"reference": "6", "lines": [{"sku": "NONE", "quantity": 1}]});
    server.post("/v1/channels/bay/orders", unknown).await.invalid(&["/lines/0/sku unknown"]);
    server
        .post("/v1/channels/bay/orders", json!({"lines": []}))
        .await
        .invalid(&["/lines min_items", "/reference required"]);
    assert_eq!(server.row_counts().await, before);
    server.assert_clean().await;
}

#[tokio::test]
async fn who_buys_may_be_known_by_an_id() {
    let servers = shop().await;
    let new = json!({"name": "Ada", "email": "ada@example.com", "addresses": [{"label": "Home", "address": {"line1": "1 Park Row", "city": "Leeds", "country": "GB"}, "default_shipping": true}]});
    let customer = servers[0].post("/v1/customers", new).await.expect(201);
    let line = json!({"sku": "TEA", "quantity": 1});
    let order = json!({"reference": "302-1", "lines": [line], "customer_id": customer["id"]});
    let found = import(&servers[0], &order, 201).await;
    let order =
        servers[0].get(&format!("/v1/orders?customer_id={}", customer["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(order["items"][0]["customer"], json!({"name": "Ada", "email": "ada@example.com"}));
    assert_eq!(order["items"][0]["id"], found["order"]["id"], "{found:#}");
    let unknown = json!({"reference": "302-2", "lines": [line], "customer_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c"});
    servers[0].post("/v1/channels/bay/orders", unknown).await.invalid(&["/customer_id unknown"]);
    crate::races::finish(servers).await;
}
