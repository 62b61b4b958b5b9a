//! Carts: what they hold, what they cost, how they end.

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Server, eventually, send};
use crate::races::{finish, insist, quantities};

fn at(cart: &Value, below: &str) -> String {
    format!("/v1/carts/{}{below}", cart["id"].as_str().unwrap())
}

fn line_of(cart: &Value, n: usize) -> String {
    at(cart, &format!("/lines/{}", cart["lines"][n]["id"].as_str().unwrap()))
}

fn of(sku: &str, quantity: i64) -> Value {
    json!({"sku": sku, "quantity": quantity})
}

fn basket(lines: &[(&str, i64)]) -> Value {
    json!({"lines": lines.iter().map(|(sku, quantity)| of(sku, *quantity)).collect::<Vec<_>>()})
}

/// What is in it, and what its reservation holds of that.
async fn held(server: &Server, cart: &Value) -> Vec<(String, i64)> {
    let pairs = |lines: &Value| {
        let lines = lines.as_array().unwrap().iter();
        lines.map(|line| (line["sku"].as_str().unwrap().to_owned(), line["quantity"].as_i64().unwrap())).collect()
    };
    let cart = server.get(&at(cart, "")).await.expect(200);
    let lines: Vec<_> = pairs(&cart["lines"]);
    if let Some(reservation) = cart["reservation_id"].as_str() {
        let reservation = server.get(&format!("/v1/reservations/{reservation}")).await.expect(200);
        assert_eq!(reservation["status"], "active");
        assert_eq!(reservation["owner"], format!("cart:{}", cart["id"].as_str().unwrap()));
        assert_eq!(reservation["expires_at"], cart["expires_at"]);
        assert_eq!(pairs(&reservation["lines"]), lines, "held as it is in the cart");
    }
    lines
}

async fn tea_and_mugs(server: &Server) {
    server.shop(&[("TEA", 10), ("MUG", 5)]).await;
    for (sku, amount) in [("TEA", 500), ("MUG", 900)] {
        let price = json!({"price": {"amount": amount, "currency": "EUR"}});
        server.patch(&format!("/v1/products/{sku}"), price).await.expect(200);
    }
}

fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

#[tokio::test]
async fn a_cart_holds_what_is_in_it_and_becomes_an_order() {
    let server = Server::start().await;
    tea_and_mugs(&server).await;
    server.channel("web", &[("MAIN", 0)]).await;
    let made = server.post("/v1/carts", json!({"channel": "web", "reference": "session-1"})).await;
    let address = made.header("location").unwrap().to_owned();
    let cart = made.expect(201);
    assert_eq!(address, at(&cart, ""));
    assert_eq!(
        (&cart["status"], &cart["reservation_id"], &cart["totals"]),
        (&json!("open"), &json!(null), &json!(null))
    );
    assert_eq!(server.get(&address).await.expect(200), cart);

    server.post(&at(&cart, "/lines"), of("TEA", 1)).await.expect(200);
    let taxed = json!({"sku": "MUG", "quantity": 2, "tax_rate": 1900, "discount": eur(100)});
    server.post(&at(&cart, "/lines"), taxed).await.expect(200);
    let cart = server.post(&at(&cart, "/lines"), of("TEA", 2)).await.expect(200);
    assert_eq!(held(&server, &cart).await, [("TEA".to_owned(), 3), ("MUG".to_owned(), 2)]);
    assert_eq!(quantities(&server, "TEA", ["reserved", "available"]).await, [3, 7]);
    assert_eq!(cart["totals"]["total"], eur(3 * 500 + 2 * 900 - 100));

    let cart = server.patch(&line_of(&cart, 0), json!({"quantity": 1, "tax_rate": 700})).await.expect(200);
    assert_eq!(quantities(&server, "TEA", ["reserved", "available"]).await, [1, 9]);
    let terms = json!({
        "discounts": [{"label": "Welcome", "amount": eur(220)}],
        "shipping_price": {"label": "Standard", "price": eur(490), "tax_rate": 1900},
    });
    let cart = server.patch(&at(&cart, ""), terms).await.expect(200);
    // 220 shared out by 500 and 1700: 50 and 170.
    assert_eq!(cart["totals"]["discount"], eur(100 + 220));
    assert_eq!(cart["totals"]["total"], eur(450 + 1530 + 490));
    // 450 of 7 %, 1530 + 490 of 19 %, in the prices.
    assert_eq!(cart["totals"]["tax"], eur(29 + 244 + 78));

    let body = json!({"customer": {"name": "Ada"}, "reference": "WEB-1"});
    let order = server.post_once(&at(&cart, "/checkout"), "once", body.clone()).await.expect(201);
    assert_eq!(server.post_once(&at(&cart, "/checkout"), "once", body.clone()).await.expect(201), order);
    server.post(&at(&cart, "/checkout"), body).await.refused(409, "invalid-state");
    assert_eq!((&order["channel"], &order["reference"]), (&json!("web"), &json!("WEB-1")));
    assert_eq!((&order["totals"], &order["total"]), (&cart["totals"], &cart["totals"]["total"]));
    assert_eq!((&order["lines"][0]["discount"], &order["lines"][0]["tax_rate"]), (&eur(50), &json!(700)));
    assert_eq!((&order["lines"][1]["discount"], &order["lines"][1]["quantity"]), (&eur(270), &json!(2)));
    let read = server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200);
    assert_eq!(read, order);
    assert_eq!(quantities(&server, "TEA", ["reserved", "allocated", "available"]).await, [0, 1, 9]);
    let cart = server.get(&address).await.expect(200);
    assert_eq!((&cart["status"], &cart["order_id"]), (&json!("checked_out"), &order["id"]));
    for answer in [
        server.post(&at(&cart, "/lines"), of("TEA", 1)).await,
        server.patch(&at(&cart, ""), json!({"reference": "other"})).await,
        server.delete(&line_of(&cart, 0)).await,
        server.delete(&address).await,
    ] {
        answer.refused(409, "invalid-state");
    }
    let told = server.events("cart.created,cart.checked_out").await;
    assert_eq!(told.iter().map(|event| event["subject"].as_str().unwrap()).collect::<Vec<_>>(), [&address[4..]; 2]);

    // What is cancelled is not paid any more, nor is its shipping.
    let cancel = format!("/v1/orders/{}/cancel", order["number"]);
    assert_eq!(server.post(&cancel, json!({})).await.expect(200)["total"], eur(0));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_shopper_is_not_blocked_by_the_own_cart_and_others_are() {
    let server = Server::start().await;
    tea_and_mugs(&server).await;
    let cart = server.cart(basket(&[("MUG", 5), ("TEA", 1)])).await;
    let other = server.cart(basket(&[("TEA", 1)])).await;
    for quantity in [4, 5, 1, 5] {
        server.patch(&line_of(&cart, 0), json!({"quantity": quantity})).await.expect(200);
        assert_eq!(quantities(&server, "MUG", ["reserved"]).await, [quantity]);
    }
    let before = server.get(&at(&cart, "")).await.expect(200);
    let problem = server.post(&at(&cart, "/lines"), of("MUG", 1)).await.refused(409, "insufficient-stock");
    assert_eq!((&problem["shortages"][0]["requested"], &problem["shortages"][0]["available"]), (&json!(6), &json!(5)));
    server.post(&at(&other, "/lines"), of("MUG", 1)).await.refused(409, "insufficient-stock");
    assert_eq!(server.get(&at(&cart, "")).await.expect(200), before, "what is refused leaves it as it was");
    assert_eq!(held(&server, &cart).await, [("MUG".to_owned(), 5), ("TEA".to_owned(), 1)]);

    let cart = server.delete(&line_of(&before, 0)).await.expect(200);
    server.post(&at(&other, "/lines"), of("MUG", 5)).await.expect(200);
    let cart = server.delete(&line_of(&cart, 0)).await.expect(200);
    assert_eq!((&cart["lines"], &cart["reservation_id"], &cart["status"]), (&json!([]), &json!(null), &json!("open")));
    server.post(&at(&cart, "/checkout"), json!({})).await.refused(409, "invalid-state");
    server.assert_clean().await;
}

#[tokio::test]
async fn each_change_makes_a_cart_live_longer_and_never_shorter() {
    let server = Server::start().await;
    tea_and_mugs(&server).await;
    let mut cart = server.cart(json!({"ttl_seconds": 600, "lines": [of("TEA", 1)]})).await;
    for body in [json!({"quantity": 2}), json!({"quantity": 2}), json!({"tax_rate": 700}), json!({"quantity": 1})] {
        let changed = server.patch(&line_of(&cart, 0), body).await.expect(200);
        assert!(changed["expires_at"].as_str() > cart["expires_at"].as_str());
        cart = changed;
    }
    let changed = server.patch(&at(&cart, ""), json!({"reference": "table 7"})).await.expect(200);
    assert!(changed["expires_at"].as_str() > cart["expires_at"].as_str());
    assert_eq!(held(&server, &cart).await, [("TEA".to_owned(), 1)]);
    assert_eq!(server.get(&at(&cart, "")).await.expect(200), changed, "reading does not change it");
    server.assert_clean().await;
}

#[tokio::test]
async fn an_abandoned_cart_frees_its_stock_tells_it_and_may_be_taken_up_again() {
    let server = Server::start().await;
    tea_and_mugs(&server).await;
    let short = |lines: &[(&str, i64)]| {
        let mut body = basket(lines);
        body["ttl_seconds"] = json!(1);
        body
    };
    let again = server.cart(short(&[("TEA", 4)])).await;
    let late = server.cart(short(&[("MUG", 5)])).await;
    let ready = server.cart(short(&[("TEA", 2)])).await;
    let mut empty = short(&[]);
    empty["lines"] = json!([]);
    let empty = server.cart(empty).await;
    eventually("all four are told of", || async { server.events("cart.abandoned").await.len() == 4 }).await;
    assert_eq!(quantities(&server, "TEA", ["reserved"]).await, [0]);
    assert_eq!(quantities(&server, "MUG", ["reserved"]).await, [0]);
    assert_eq!(server.list("/v1/carts?status=abandoned").await.len(), 4);
    assert_eq!(server.list("/v1/carts?status=open").await.len(), 0);

    server.cart(basket(&[("MUG", 1)])).await;
    server.post(&at(&late, "/checkout"), json!({})).await.refused(409, "insufficient-stock");
    server.patch(&at(&late, ""), json!({"reference": "x"})).await.refused(409, "insufficient-stock");
    assert_eq!(server.get(&at(&late, "")).await.expect(200)["status"], "abandoned");
    let cart = server.patch(&at(&again, ""), json!({"reference": "x"})).await.expect(200);
    assert_eq!((&cart["status"], quantities(&server, "TEA", ["reserved"]).await), (&json!("open"), [4]));
    assert_eq!(server.events("cart.reopened").await[0]["data"]["id"], again["id"]);
    let order = server.post(&at(&ready, "/checkout"), json!({})).await.expect(201);
    assert_eq!(order["lines"][0]["allocated"], 2, "its time had run out, and there is enough");
    server.delete(&at(&empty, "")).await.expect(204);
    server.delete(&at(&again, "")).await.expect(204);
    server.delete(&at(&again, "")).await.expect(204);
    assert_eq!(quantities(&server, "TEA", ["reserved", "allocated"]).await, [0, 2]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_guest_s_cart_goes_into_another_without_letting_go_of_its_stock() {
    let server = Server::start().await;
    tea_and_mugs(&server).await;
    let cart = server.cart(basket(&[("TEA", 4), ("MUG", 1)])).await;
    let guest = server.cart(basket(&[("TEA", 6), ("MUG", 4)])).await;
    // Somebody waits for tea, and would be served first with what is let go of.
    server.patch("/v1/products/TEA", json!({"availability": {"backorder_limit": 5}})).await.expect(200);
    let waiting = server.order("TEA", 2).await;
    assert_eq!(waiting["lines"][0]["backordered"], 2);

    let from = json!({"from": guest["id"]});
    server.post(&at(&guest, "/merge"), from.clone()).await.invalid(&["/from same"]);
    let nobody = json!({"from": "0193a1b2-0000-7000-8000-000000000000"});
    server.post(&at(&cart, "/merge"), nobody).await.invalid(&["/from unknown"]);
    let merged = server.post(&at(&cart, "/merge"), from.clone()).await.expect(200);
    assert_eq!(held(&server, &merged).await, [("TEA".to_owned(), 10), ("MUG".to_owned(), 5)]);
    assert_eq!(merged["lines"][0]["backordered"], 0);
    let guest = server.get(&at(&guest, "")).await.expect(200);
    assert_eq!((&guest["status"], &guest["merged_into"]), (&json!("merged"), &cart["id"]));
    server.post(&at(&cart, "/merge"), from).await.refused(409, "invalid-state");
    assert_eq!(server.events("cart.merged").await[0]["data"]["id"], guest["id"]);

    // Of another channel, or with too little left: both stay as they were.
    server.channel("web", &[("MAIN", 0)]).await;
    let elsewhere = server.cart(json!({"channel": "web"})).await;
    let from = json!({"from": elsewhere["id"]});
    server.post(&at(&cart, "/merge"), from).await.invalid(&["/from differs"]);
    server.delete(&at(&cart, "")).await.expect(204);
    let taken = server.cart(basket(&[("MUG", 3)])).await;
    let from = json!({"from": cart["id"]});
    server.post(&at(&taken, "/merge"), from).await.refused(409, "insufficient-stock");
    assert_eq!(held(&server, &taken).await, [("MUG".to_owned(), 3)]);
    assert_eq!(server.get(&at(&cart, "")).await.expect(200)["status"], "abandoned");
    server.assert_clean().await;
}

#[tokio::test]
async fn what_prices_do_not_allow_is_told_fault_by_fault() {
    let server = Server::start().await;
    tea_and_mugs(&server).await;
    let pounds = json!({"amount": 1, "currency": "GBP"});
    let body = json!({
        "lines": [
            {"sku": "TEA", "quantity": 1, "discount": eur(501)},
            {"sku": "MUG", "quantity": 1, "unit_price": pounds},
            {"sku": "TEA", "quantity": 1, "warehouse": "NONE"},
        ],
        "shipping_price": {"price": pounds},
        "discounts": [{"label": "Welcome", "amount": pounds}],
    });
    server.post("/v1/carts", body).await.invalid(&[
        "/lines/1/unit_price/currency differs",
        "/discounts/0/amount/currency differs",
        "/shipping_price/price/currency differs",
        "/lines/0/discount/amount too_large",
    ]);
    let cart = server.cart(basket(&[("TEA", 1)])).await;
    server.post(&at(&cart, "/lines"), of("NONE", 1)).await.invalid(&["/sku unknown"]);
    let nowhere = json!({"sku": "MUG", "quantity": 1, "warehouse": "NONE"});
    server.post(&at(&cart, "/lines"), nowhere).await.invalid(&["/warehouse unknown"]);
    server.patch(&line_of(&cart, 0), json!({"discount": eur(501)})).await.invalid(&["/discount/amount too_large"]);
    server.patch(&line_of(&cart, 0), json!({"quantity": 0})).await.invalid(&["/quantity minimum"]);
    server.patch(&at(&cart, "/lines/0193a1b2-0000-7000-8000-000000000000"), json!({})).await.refused(404, "not-found");
    let line = |discount: Value| json!({"lines": [{"sku": "TEA", "quantity": 1, "discount": discount}]});
    server.post("/v1/orders", line(eur(501))).await.invalid(&["/lines/0/discount/amount too_large"]);
    server.post("/v1/orders", line(pounds)).await.invalid(&["/lines/0/discount/currency differs"]);
    let order = server.post("/v1/orders", line(eur(1))).await.expect(201);
    assert_eq!(order["total"], eur(499));
    let on_top = json!({
        "lines": [{"sku": "TEA", "quantity": 3, "tax_rate": 1900}], "prices_include_tax": false,
        "shipping_price": {"price": eur(100), "tax_rate": 700},
    });
    let order = server.post("/v1/orders", on_top).await.expect(201);
    assert_eq!((&order["totals"]["tax"], &order["total"]), (&eur(285 + 7), &eur(1500 + 100 + 285 + 7)));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_change_to_another_version_is_refused() {
    let server = Server::start().await;
    tea_and_mugs(&server).await;
    let cart = server.cart(basket(&[("TEA", 1)])).await;
    let tag = server.get(&at(&cart, "")).await.header("etag").unwrap().to_owned();
    let change = |tag: &str, reference: &str| {
        let request = server.request(Method::PATCH, &at(&cart, "")).header("if-match", tag);
        send(request.json(&json!({"reference": reference})))
    };
    change(&tag, "first").await.expect(200);
    change(&tag, "second").await.refused(412, "precondition-failed");
    server.assert_clean().await;
}

/// Shoppers who do anything to a few carts of few products, at two servers at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_carts_stock_and_carts_agree() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let servers = Server::pair().await;
    tea_and_mugs(&servers[0]).await;
    let mut carts = Vec::new();
    for _ in 0..4 {
        carts.push(servers[0].cart(json!({})).await);
    }
    let shoppers = (0..6u64).map(|n| {
        let (servers, carts) = (&servers, &carts);
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(n));
        async move {
            for _ in 0..40 {
                let (server, cart) = (&servers[rng.random_range(0..2)], &carts[rng.random_range(0..carts.len())]);
                let answer = act(server, cart, carts, &mut rng).await;
                let known = matches!(answer.status, 200 | 201 | 204 | 404 | 409)
                    || (answer.status == 422 && answer.json["errors"][0]["code"] == "same");
                assert!(known, "{} {}", answer.status, answer.json);
            }
        }
    });
    join_all(shoppers).await;
    let orders = servers[0].list("/v1/orders?limit=200").await;
    let open = servers[0].list("/v1/carts?status=open").await;
    for (sku, on_hand) in [("TEA", 10), ("MUG", 5)] {
        let sum = |things: &[Value], of: &str| -> i64 {
            let lines = things.iter().flat_map(|thing| thing["lines"].as_array().unwrap());
            lines.filter(|line| line["sku"] == sku).map(|line| line[of].as_i64().unwrap()).sum()
        };
        let found = quantities(&servers[0], sku, ["on_hand", "reserved", "allocated"]).await;
        assert_eq!(found, [on_hand, sum(&open, "quantity"), sum(&orders, "allocated")], "{sku}");
    }
    let ended = servers[0].list("/v1/carts?status=checked_out").await;
    assert_eq!(ended.len(), orders.len(), "each order is of one cart");
    finish(servers).await;
}

async fn act(server: &Server, cart: &Value, carts: &[Value], rng: &mut StdRng) -> Answer {
    let sku = if rng.random_bool(0.5) { "TEA" } else { "MUG" };
    let quantity = rng.random_range(1..4i64);
    let other = json!({"from": carts[rng.random_range(0..carts.len())]["id"]});
    let now = server.get(&at(cart, "")).await.expect(200);
    let first = now["lines"][0].is_object().then(|| line_of(&now, 0));
    let (method, path, body) = match (rng.random_range(0..100), first) {
        (45..65, Some(line)) => (Method::PATCH, line, json!({"quantity": quantity})),
        (65..80, Some(line)) => (Method::DELETE, line, Value::Null),
        (80..90, _) => (Method::POST, at(cart, "/merge"), other),
        (90..92, _) => (Method::POST, at(cart, "/checkout"), json!({})),
        (92..96, _) => (Method::DELETE, at(cart, ""), Value::Null),
        (96.., _) => (Method::PATCH, at(cart, ""), json!({"reference": "again"})),
        _ => (Method::POST, at(cart, "/lines"), of(sku, quantity)),
    };
    insist(|| {
        let request = server.request(method.clone(), &path);
        send(if body.is_null() { request } else { request.json(&body) })
    })
    .await
}
