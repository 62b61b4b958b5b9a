//! Customers: what is kept of them, what their orders take over, and how they are erased.

use futures::future::join_all;
use serde_json::{Value, json};
use stockhold::config::Config;

use crate::harness::{Server, each, eventually, send};

fn at(customer: &Value, below: &str) -> String {
    format!("/v1/customers/{}{below}", customer["id"].as_str().unwrap())
}

/// Somebody whose name, email, street and the like can be found wherever they are.
fn planted() -> Value {
    json!({
        "reference": "planted-reference", "name": "Planted Name", "email": "Planted@Example.com", "phone": "planted-phone",
        "addresses": [
            {"label": "Work", "address": {"line1": "planted-office", "country": "IE"}, "default_billing": true},
            {"label": "Home", "address": {"line1": "planted-street", "city": "planted-city", "country": "GB"}, "default_shipping": true},
        ],
        "consent": {"marketing": true, "source": "checkout"}, "note": "planted-note", "attributes": {"is": "planted-attribute"},
    })
}

/// The tables in which anything planted stands, as text or as bytes; partitions by the name of their table.
async fn where_planted(server: &Server) -> Vec<String> {
    let found = server.text(
        "SELECT DISTINCT table_name FROM (
             SELECT coalesce(inhparent::regclass::text, schemaname || '.' || s.relname) AS table_name,
                    query_to_xml(format('SELECT t::text FROM %I.%I t', schemaname, s.relname), true, false, '')::text AS rows
             FROM pg_stat_user_tables s LEFT JOIN pg_inherits ON inhrelid = s.relid) all_tables
         WHERE rows ILIKE '%planted%' OR rows LIKE '%706c616e746564%' OR rows LIKE '%506c616e746564%' ORDER BY 1",
    );
    found.await.lines().map(str::to_owned).collect()
}

async fn completed(server: &Server, order: &Value) {
    let path = format!("/v1/orders/{}", order["number"]);
    let goods = json!({"warehouse": "MAIN", "carrier": "DHL", "tracking_number": "planted-number"});
    let sent = server.post(&format!("{path}/shipments"), goods).await.expect(201);
    let arrived = format!("{path}/shipments/{}/deliver", sent["id"].as_str().unwrap());
    server.post(&arrived, json!({})).await.expect(200);
}

#[tokio::test]
async fn customers_are_kept_found_and_changed() {
    let server = Server::start().await;
    let made = server.post("/v1/customers", planted()).await;
    let address = made.header("location").unwrap().to_owned();
    let ada = made.expect(201);
    assert_eq!(address, at(&ada, ""));
    assert_eq!(server.get(&address).await.expect(200), ada);
    assert_eq!(ada["consent"], json!({"marketing": true, "order_updates": true, "source": "checkout"}));
    let eve =
        server.post("/v1/customers", json!({"name": "100% Eve", "email": "planted@example.com"})).await.expect(201);

    let ids = |all: &[Value]| each(all, "id").into_iter().cloned().collect::<Vec<_>>();
    for (query, who) in [
        ("", vec![&eve, &ada]),
        ("email=PLANTED@example.COM", vec![&eve, &ada]),
        ("reference=planted-reference", vec![&ada]),
        ("reference=Planted-reference", vec![]),
        ("q=planted%20n", vec![&ada]),
        ("q=PLANTED", vec![&eve, &ada]),
        ("q=planted-ref&email=planted@example.com", vec![&ada]),
        ("q=100%25", vec![&eve]),
        ("q=%25", vec![]),
        ("q=name", vec![]),
    ] {
        let found = server.list(&format!("/v1/customers?limit=1&{query}")).await;
        assert_eq!(ids(&found), who.into_iter().map(|it| it["id"].clone()).collect::<Vec<_>>(), "{query}");
    }

    server.post("/v1/customers", planted()).await.refused(409, "already-exists");
    server.patch(&at(&eve, ""), json!({"reference": "planted-reference"})).await.refused(409, "already-exists");
    let wrong = json!({"email": "nobody", "consent": {"source": "ada@example.com"}, "addresses": [{}]});
    let refused = server.post("/v1/customers", wrong).await.refused(422, "validation");
    assert_eq!(refused["errors"].as_array().unwrap().len(), 3, "{refused}");
    let both = json!({"address": {}, "default_shipping": true});
    server.post("/v1/customers", json!({"addresses": [both, both]})).await.refused(422, "validation");

    let version = server.get(&address).await.header("etag").unwrap().to_owned();
    let changed =
        server.patch(&address, json!({"phone": null, "consent": {"marketing": false, "source": "phone"}})).await;
    let changed = changed.expect(200);
    assert_eq!((&changed["phone"], &changed["name"]), (&json!(null), &json!("Planted Name")));
    let stale = server.request(reqwest::Method::PATCH, &address).header("if-match", version);
    send(stale.json(&json!({"name": "Eve"}))).await.refused(412, "precondition-failed");
    server.patch(&address, json!({"phone": null})).await.expect(200);
    let export = server.get(&at(&ada, "/export")).await.expect(200);
    assert_eq!(export["customer"], changed);
    let consents = export["consents"].as_array().unwrap().iter();
    let consents =
        consents.map(|it| (it["purpose"].as_str().unwrap(), it["granted"] == true, it["source"].as_str().unwrap()));
    let expected =
        [("marketing", true, "checkout"), ("order_updates", true, "checkout"), ("marketing", false, "phone")];
    assert_eq!(consents.collect::<Vec<_>>(), expected);
    let told = server.events("customer.updated").await;
    assert_eq!(told[0]["data"]["changed"], json!(["consent", "phone"]));
    assert_eq!(told.len(), 1, "what changed nothing is no news");
    assert!(server.sql("DELETE FROM customers.consents").await.is_err(), "consents are only added");
    server.assert_clean().await;
}

#[tokio::test]
async fn orders_take_over_what_is_known_of_a_customer() {
    let server = Server::start().await;
    server.shop(&[("TEA", 100)]).await;
    let ada = server.post("/v1/customers", planted()).await.expect(201);
    let lines = json!([{"sku": "TEA", "quantity": 1}]);
    let order = server.post("/v1/orders", json!({"lines": lines, "customer_id": ada["id"]})).await.expect(201);
    let copied = json!({"name": "Planted Name", "email": "Planted@Example.com", "phone": "planted-phone", "reference": "planted-reference"});
    assert_eq!((&order["customer_id"], &order["customer"]), (&ada["id"], &copied));
    assert_eq!(order["shipping_address"], ada["addresses"][1]["address"]);
    server.patch(&at(&ada, ""), json!({"name": "Another"})).await.expect(200);
    let read = server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200);
    assert_eq!(read, order, "an order keeps what it was placed with");

    let given = json!({"lines": lines, "customer_id": ada["id"], "customer": {"name": "Guest"}});
    let other = server.post("/v1/orders", given).await.expect(201);
    assert_eq!((&other["customer"], &other["shipping_address"]), (&json!({"name": "Guest"}), &json!(null)));
    let elsewhere = json!({"lines": lines, "customer_id": ada["id"], "shipping_address": {"country": "FR"}});
    let third = server.post("/v1/orders", elsewhere).await.expect(201);
    assert_eq!(
        (&third["customer"]["name"], &third["shipping_address"]),
        (&json!("Another"), &json!({"country": "FR"}))
    );
    server.order("TEA", 1).await;
    let listed = server.list(&format!("/v1/orders?customer_id={}", ada["id"].as_str().unwrap())).await;
    assert_eq!(each(&listed, "number"), [&third["number"], &other["number"], &order["number"]]);

    // From reservations they are placed together, each with its own outcome.
    let nobody = json!("0193a1b2-0000-7000-8000-000000000000");
    let outcomes = (0..12).map(async |n| {
        let held = server.hold("TEA", 1, 600).await;
        let id = if n % 3 == 0 { &nobody } else { &ada["id"] };
        (n, server.post("/v1/orders", json!({"reservation_id": held["id"], "customer_id": id})).await)
    });
    for (n, outcome) in join_all(outcomes).await {
        if n % 3 == 0 {
            outcome.invalid(&["/customer_id unknown"]);
        } else {
            assert_eq!(outcome.expect(201)["customer"]["name"], "Another");
        }
    }
    let cart = server.cart(json!({"lines": lines})).await;
    let checkout = format!("/v1/carts/{}/checkout", cart["id"].as_str().unwrap());
    server.post(&checkout, json!({"customer_id": nobody})).await.invalid(&["/customer_id unknown"]);
    let bought = server.post(&checkout, json!({"customer_id": ada["id"]})).await.expect(201);
    assert_eq!((&bought["customer_id"], &bought["customer"]["name"]), (&ada["id"], &json!("Another")));
    server.assert_clean().await;
}

#[tokio::test]
async fn who_is_limited_learns_nothing_of_customers() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    server.channel("web", &[("MAIN", 0)]).await;
    let ada = server.post("/v1/customers", planted()).await.expect(201);
    let key = json!({"name": "web", "scopes": ["orders:write"], "channels": ["web"]});
    let key = server.post("/v1/keys", key).await.expect(201)["key"].as_str().unwrap().to_owned();
    let get = server.anonymous(reqwest::Method::GET, &at(&ada, "")).bearer_auth(&key);
    send(get).await.refused(403, "forbidden");
    let place = async |body: Value| {
        send(server.anonymous(reqwest::Method::POST, "/v1/orders").bearer_auth(&key).json(&body)).await
    };
    let lines = json!([{"sku": "TEA", "quantity": 1}]);
    place(json!({"lines": lines, "customer_id": ada["id"]})).await.invalid(&["/customer required"]);
    let order =
        place(json!({"lines": lines, "customer_id": ada["id"], "customer": {"name": "Guest"}})).await.expect(201);
    assert_eq!((&order["customer_id"], &order["shipping_address"]), (&ada["id"], &json!(null)));
    server.assert_clean().await;
}

#[tokio::test]
async fn nothing_of_an_erased_customer_is_left_but_where_it_is_said() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let ada = server.post_once("/v1/customers", "ada", planted()).await.expect(201);
    server.patch(&at(&ada, ""), json!({"note": "planted-too"})).await.expect(200);
    assert_eq!(where_planted(&server).await, ["customers.customers"], "neither audit nor idempotency keep it");
    let again = server.post_once("/v1/customers", "ada", planted()).await.expect(201);
    assert_eq!((&again["id"], again.get("name")), (&ada["id"], None));

    let subscription = json!({"email": "planted@EXAMPLE.com"});
    server.post("/v1/products/TEA/subscriptions", subscription).await.expect(201);
    let new = json!({"lines": [{"sku": "TEA", "quantity": 2}], "customer_id": ada["id"], "note": "planted-wish"});
    let order = server.post_once("/v1/orders", "order", new).await.expect(201);
    let export = server.get(&at(&ada, "/export")).await.expect(200);
    assert_eq!(export["records"]["orders"], json!([order]));
    assert_eq!(export["records"]["subscriptions"][0]["email"], "planted@EXAMPLE.com");

    let refusal = server.post(&at(&ada, "/erase"), json!({})).await.refused(409, "in-use");
    let name = format!("order {}", order["number"]);
    assert!(refusal["detail"].as_str().unwrap().contains(&name), "{refusal}");
    assert_eq!(server.get(&at(&ada, "")).await.expect(200)["name"], "Planted Name", "all or nothing");
    completed(&server, &order).await;
    let path = format!("/v1/orders/{}", order["number"]);
    let back = json!({"reason": "planted-reason", "lines": [{"sku": "TEA", "quantity": 1, "disposition": "restock", "warehouse": "MAIN"}]});
    server.post(&format!("{path}/returns"), back).await.expect(201);
    let asked = json!({"lines": [{"sku": "TEA", "quantity": 1, "reason": "planted-reason"}], "note": "planted-note"});
    let request = server.post(&format!("{path}/return-requests"), asked).await.expect(201);
    let refusal = server.post(&at(&ada, "/erase"), json!({})).await.refused(409, "in-use");
    assert!(refusal["detail"].as_str().unwrap().contains("return request"), "{refusal}");
    let request = format!("/v1/return-requests/{}", request["id"].as_str().unwrap());
    server.post(&format!("{request}/reject"), json!({"reason": "planted-refusal"})).await.expect(200);
    let export = server.get(&at(&ada, "/export")).await.expect(200);
    assert_eq!(export["records"]["returns"], json!([server.get(&request).await.expect(200)]));
    let left = server.post(&at(&ada, "/erase"), json!({})).await.expect(200);
    assert!(left["erased_at"].is_string() && left["name"].is_null(), "{left}");
    assert_eq!(server.get(&at(&ada, "")).await.expect(200), left);

    // As docs/customers.md says, each for its own time.
    assert_eq!(where_planted(&server).await, ["events.outbox", "platform.idempotency"]);
    let read = server.get(&path).await.expect(200);
    assert_eq!((&read["customer"], &read["shipping_address"]), (&json!({}), &json!({"country": "GB"})));
    assert_eq!(
        (&read["note"], &read["customer_id"], &read["lines"][0]["quantity"]),
        (&json!(null), &ada["id"], &json!(2))
    );
    let read = server.get(&request).await.expect(200);
    assert_eq!(
        (&read["note"], &read["reason"], &read["lines"][0]["reason"]),
        (&json!(null), &json!(null), &json!(null))
    );
    assert_eq!(read["lines"][0]["requested"], 1);
    let export = server.get(&at(&ada, "/export")).await.expect(200);
    assert_eq!(export["consents"][3]["source"], "erasure");

    let again = server.post(&at(&ada, "/erase"), json!({})).await.expect(200);
    assert_eq!(again, left, "erasing twice is fine");
    server.patch(&at(&ada, ""), json!({"name": "Planted"})).await.refused(409, "invalid-state");
    let late = json!({"lines": [{"sku": "TEA", "quantity": 1}], "customer_id": ada["id"]});
    server.post("/v1/orders", late).await.invalid(&["/customer_id unknown"]);
    server.post("/v1/customers", planted()).await.expect(201);
    assert_eq!(server.events("customer.erased").await.len(), 1);
    server.assert_clean().await;
}

#[tokio::test]
async fn nobody_orders_for_who_is_being_erased() {
    let server = Server::start().await;
    server.shop(&[("TEA", 100)]).await;
    for _ in 0..10 {
        let customer = server.post("/v1/customers", json!({"name": "Ada"})).await.expect(201);
        let order = json!({"lines": [{"sku": "TEA", "quantity": 1}], "customer_id": customer["id"]});
        let erase = at(&customer, "/erase");
        let (placed, erased) = tokio::join!(server.post("/v1/orders", order), server.post(&erase, json!({})));
        match placed.status {
            201 => drop(erased.refused(409, "in-use")),
            _ => {
                placed.invalid(&["/customer_id unknown"]);
                erased.expect(200);
            }
        }
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn who_was_not_seen_for_long_is_erased() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let make = async |name: &str| server.post("/v1/customers", json!({"name": name})).await.expect(201);
    let (old, waiting, buyer, new) = (make("old").await, make("waiting").await, make("buyer").await, make("new").await);
    for customer in [&old, &waiting, &buyer] {
        let order = json!({"lines": [{"sku": "TEA", "quantity": 1}], "customer_id": customer["id"]});
        let order = server.post("/v1/orders", order).await.expect(201);
        if customer != &waiting {
            completed(&server, &order).await;
        }
    }
    server
        .sql(
            "UPDATE customers.customers SET updated_at = now() - interval '40 days' WHERE name <> 'new';
             UPDATE orders.orders SET updated_at = now() - interval '40 days' WHERE customer ->> 'name' <> 'buyer'",
        )
        .await
        .unwrap();
    let second = server.joined_by(Config { customer_days: 30, ..Config::default() }).await;
    eventually("the old one is erased", async || second.get(&at(&old, "")).await.expect(200)["erased_at"].is_string())
        .await;
    for kept in [&waiting, &buyer, &new] {
        assert_eq!(server.get(&at(kept, "")).await.expect(200)["name"], kept["name"]);
    }
    server.assert_clean().await;
}
