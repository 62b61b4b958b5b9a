//! Stripe, as a stand-in plays it that forgets idempotency keys and loses requests and answers.

use futures::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use stockhold::config::Config;
use stockhold::payments::Settings;
use stockhold::platform::clock::Timestamp;

use super::stand_in::{DECLINED, SECRET_KEY, Stripe, WEBHOOK_SECRET};
use super::{amounts, comes_to, order_of, path, payment_status, read};
use crate::harness::{Answer, Server, eventually, send};

pub fn config(url: &str) -> Config {
    let stripe = Settings {
        secret_key: SECRET_KEY.to_owned(),
        webhook_secret: WEBHOOK_SECRET.to_owned(),
        api_base: url.to_owned(),
        retry_seconds: 1,
        ..Settings::default()
    };
    Config { stripe, ..Config::default() }
}

async fn shop() -> (Stripe, Server) {
    let stripe = Stripe::start().await;
    let server = Server::with(config(&stripe.url)).await;
    server.shop(&[("TEA", 1000)]).await;
    (stripe, server)
}

pub async fn pay(server: &Server, order: &Value, more: Value) -> Value {
    let mut body = json!({"order_id": order["id"], "provider": "stripe"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = server.post("/v1/payments", body).await.expect(201);
    assert_eq!((&made["status"], made.get("client_secret")), (&json!("pending"), None));
    made
}

/// What Stripe calls it, once that is known.
pub async fn reference(server: &Server, payment: &Value) -> String {
    eventually("it has a name at Stripe", || async { read(server, payment).await["provider_reference"].is_string() })
        .await;
    read(server, payment).await["provider_reference"].as_str().unwrap().to_owned()
}

pub fn signed(body: &str, seconds_ago: i64) -> String {
    let time = Timestamp::now().0.timestamp() - seconds_ago;
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={digest}")
}

fn message(event: &str, intent: &str) -> String {
    json!({"id": event, "type": "payment_intent.amount_capturable_updated",
           "data": {"object": {"id": intent, "object": "payment_intent", "status": "whatever"}}})
    .to_string()
}

pub async fn hear(server: &Server, body: &str, signature: &str) -> Answer {
    let call = server.anonymous(Method::POST, "/v1/payments/webhooks/stripe");
    send(call.header("content-type", "application/json").header("stripe-signature", signature).body(body.to_owned()))
        .await
}

async fn looks(server: &Server) -> usize {
    server.list("/v1/jobs?kind=payment_look").await.len()
}

#[tokio::test]
async fn a_card_is_charged_at_once_and_paid_back_in_parts() {
    let (stripe, server) = shop().await;
    let order = order_of(&server, 2).await;
    let payment = pay(&server, &order, json!({"payment_method": "pm_card", "capture": "automatic"})).await;
    comes_to(&server, &payment, json!(["captured", 1300, 1300, 0])).await;
    assert_eq!(payment_status(&server, &order).await, "paid");
    let refund = format!("{}/refund", path(&payment));
    let asked = server.post(&refund, json!({"amount": 300, "reason": "a broken cup"})).await.expect(202);
    assert_eq!(asked["operations"][2]["status"], "pending");
    comes_to(&server, &payment, json!(["captured", 1300, 1300, 300])).await;
    server.post(&refund, json!({})).await.expect(202);
    let done = comes_to(&server, &payment, json!(["captured", 1300, 1300, 1300])).await;
    assert!(
        done["operations"].as_array().unwrap().iter().all(|operation| operation["status"] == "succeeded"),
        "{done}"
    );
    assert_eq!(payment_status(&server, &order).await, "refunded");
    let intent = stripe.intent("pi_1");
    assert_eq!((intent.charges, intent.received, intent.currency.as_str()), (1, 1300, "eur"));
    assert_eq!(intent.metadata["order_id"], order["id"].as_str().unwrap());
    assert_eq!(stripe.refunds_of("pi_1"), [300, 1000]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_shopper_confirms_in_the_browser_and_stripe_tells() {
    let (stripe, server) = shop().await;
    let order = order_of(&server, 2).await;
    let payment = pay(&server, &order, json!({})).await;
    let intent = reference(&server, &payment).await;
    let shown = read(&server, &payment).await;
    assert_eq!(shown["client_secret"], format!("{intent}_secret_hush"));
    assert_eq!(amounts(&shown), json!(["pending", 0, 0, 0]));
    let claimed = json!({"order_id": order["id"], "provider": "manual"});
    server.post("/v1/payments", claimed).await.refused(409, "invalid-state");

    let told = message("evt_1", &intent);
    for bad in ["", "t=1,v1=00", &signed(&told, 400), &signed(&told, -400), &signed("{}", 0)] {
        hear(&server, &told, bad).await.refused(400, "malformed-request");
    }
    assert_eq!(looks(&server).await, 0);
    // It comes before anything was confirmed: what it says is not believed.
    assert_eq!(hear(&server, &told, &signed(&told, 0)).await.status, 204);
    eventually("Stripe was asked", || async { server.list("/v1/jobs?kind=payment_look&status=done").await.len() == 1 })
        .await;
    assert_eq!(read(&server, &payment).await["status"], "pending");
    stripe.shopper_confirms(&intent);
    // The same message once more is no news; another is.
    assert_eq!(hear(&server, &told, &signed(&told, 10)).await.status, 204);
    assert_eq!(looks(&server).await, 1);
    let news = message("evt_2", &intent);
    assert_eq!(hear(&server, &news, &signed(&news, 0)).await.status, 204);
    let paid = comes_to(&server, &payment, json!(["authorised", 1300, 0, 0])).await;
    assert_eq!((&paid["expires_at"], paid.get("client_secret")), (&json!("2100-01-01T00:00:00.000Z"), None));
    assert_eq!(server.list("/v1/payments?expiring_before=2101-01-01T00:00:00Z").await.len(), 1);
    // Of some other shop's, or of nothing.
    for other in [message("evt_3", "pi_of_another"), json!({"id": "evt_4", "data": {"object": {}}}).to_string()] {
        assert_eq!(hear(&server, &other, &signed(&other, 0)).await.status, 204);
    }
    let stays = server.dump().await;
    assert_eq!(stays.matches("_secret_hush").count(), 1, "nowhere but with the payment");
    assert!(!stays.contains(SECRET_KEY) && !stays.contains(WEBHOOK_SECRET));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_card_that_is_declined_costs_nothing_and_another_may_be_tried() {
    let (stripe, server) = shop().await;
    let order = order_of(&server, 1).await;
    let payment = pay(&server, &order, json!({"payment_method": DECLINED})).await;
    let failed = comes_to(&server, &payment, json!(["failed", 0, 0, 0])).await;
    assert_eq!(failed["last_error"], "Your card was declined.");
    assert_eq!(payment_status(&server, &order).await, "failed");
    assert_eq!(server.events("payment.failed").await.len(), 1);
    let another = pay(&server, &order, json!({"payment_method": "pm_card"})).await;
    comes_to(&server, &another, json!(["authorised", 650, 0, 0])).await;
    assert_eq!(payment_status(&server, &order).await, "authorised");
    let capture = format!("{}/capture", path(&another));
    server.post(&capture, json!({"amount": 400})).await.expect(202);
    comes_to(&server, &another, json!(["captured", 650, 400, 0])).await;
    // Stripe has let go of the rest.
    server.post(&capture, json!({})).await.refused(409, "invalid-state");
    let rest = pay(&server, &order, json!({"payment_method": "pm_card", "capture": "automatic"})).await;
    comes_to(&server, &rest, json!(["captured", 250, 250, 0])).await;
    assert_eq!(payment_status(&server, &order).await, "paid");
    assert_eq!(stripe.intent("pi_1").charges, 0);
    server.assert_clean().await;
}

/// What the provider's books say without us is booked when they are looked at.
#[tokio::test]
async fn what_runs_out_is_given_up_or_taken_elsewhere_is_learnt() {
    let (stripe, server) = shop().await;
    let orders = join_all((0..4).map(|_| order_of(&server, 1))).await;
    let card = json!({"payment_method": "pm_card"});
    let payments = join_all(orders.iter().map(|order| pay(&server, order, card.clone()))).await;
    let mut intents = Vec::new();
    for payment in &payments {
        comes_to(&server, payment, json!(["authorised", 650, 0, 0])).await;
        intents.push(reference(&server, payment).await);
    }
    let is_over = |reason: Option<&str>| {
        let reason = reason.map(str::to_owned);
        move |intent: &mut super::stand_in::Intent| {
            "canceled".clone_into(&mut intent.status);
            intent.cancellation_reason = reason;
        }
    };
    stripe.change(&intents[0], is_over(Some("automatic")));
    stripe.change(&intents[1], is_over(None));
    stripe.change(&intents[2], |intent| {
        "succeeded".clone_into(&mut intent.status);
        intent.received = 600;
    });
    stripe.change(&intents[3], |intent| intent.amount = 65);
    // Nobody tells, so they are looked at after a while.
    server.sql("UPDATE payments.payments SET looked_at = looked_at - interval '6 minutes'").await.unwrap();
    server.app.payments.watch().await.unwrap();
    comes_to(&server, &payments[0], json!(["expired", 0, 0, 0])).await;
    comes_to(&server, &payments[1], json!(["voided", 0, 0, 0])).await;
    comes_to(&server, &payments[2], json!(["captured", 650, 600, 0])).await;
    assert_eq!(server.events("payment.expired").await.len(), 1);
    eventually("another amount is told of", || async { server.events("order.flagged").await.len() == 1 }).await;
    let flagged = &server.events("order.flagged").await[0]["data"];
    assert_eq!(flagged["reason"], "the provider's books say 65 EUR, and 650 EUR was asked for");
    assert_eq!(amounts(&read(&server, &payments[3]).await), json!(["authorised", 650, 0, 0]));
    // Nor is it taken.
    server.post(&format!("{}/capture", path(&payments[3])), json!({})).await.expect(202);
    eventually("the capture fails", || async {
        read(&server, &payments[3]).await["operations"][1]["status"] == "failed"
    })
    .await;
    assert_eq!(stripe.intent(&intents[3]).received, 0);
    server.assert_clean().await;
}

#[tokio::test]
async fn money_that_comes_for_a_cancelled_order_goes_back() {
    let (stripe, server) = shop().await;
    let orders = join_all((0..4).map(|_| order_of(&server, 1))).await;
    let cancel = |order: &Value| format!("/v1/orders/{}/cancel", order["number"]);
    let taken = pay(&server, &orders[0], json!({"payment_method": "pm_card", "capture": "automatic"})).await;
    comes_to(&server, &taken, json!(["captured", 650, 650, 0])).await;
    let promised = pay(&server, &orders[1], json!({"payment_method": "pm_card"})).await;
    comes_to(&server, &promised, json!(["authorised", 650, 0, 0])).await;
    let waiting = pay(&server, &orders[2], json!({})).await;
    let open = reference(&server, &waiting).await;
    for order in &orders[..3] {
        server.post(&cancel(order), json!({})).await.expect(200);
    }
    comes_to(&server, &taken, json!(["captured", 650, 650, 650])).await;
    comes_to(&server, &promised, json!(["voided", 0, 0, 0])).await;
    comes_to(&server, &waiting, json!(["voided", 0, 0, 0])).await;
    assert_eq!(stripe.intent(&open).status, "canceled");
    assert_eq!(server.events("order.flagged").await.len(), 0, "nothing is left to do");

    // Asked for before the order was cancelled, and known only after.
    stripe.lose(7);
    let late = pay(&server, &orders[3], json!({"payment_method": "pm_card", "capture": "automatic"})).await;
    server.post(&cancel(&orders[3]), json!({})).await.expect(200);
    eventually("it is given back", || async {
        let payment = read(&server, &late).await;
        let is_over = payment["status"] == "voided" || payment["refunded"] == 650;
        is_over && payment["operations"].as_array().unwrap().iter().all(|it| it["status"] != "pending")
    })
    .await;
    server.assert_clean().await;
}

/// Whatever is lost on the way, at whichever of two servers: each payment is charged once, and all books agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_requests_and_answers_charge_nobody_twice() {
    let stripe = Stripe::start().await;
    let servers = Server::pair_with(config(&stripe.url)).await;
    servers[0].shop(&[("TEA", 1000)]).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    stripe.lose(seed);
    let buyer = |n: u64| {
        let server = &servers[usize::try_from(n % 2).unwrap()];
        async move {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(n));
            let order = order_of(server, random.random_range(1..5)).await;
            let total = order["total"]["amount"].as_i64().unwrap();
            let payment = pay(server, &order, json!({"payment_method": "pm_card", "capture": "automatic"})).await;
            comes_to(server, &payment, json!(["captured", total, total, 0])).await;
            let back = random.random_range(1..total);
            server.post(&format!("{}/refund", path(&payment)), json!({"amount": back})).await.expect(202);
            comes_to(server, &payment, json!(["captured", total, total, back])).await
        }
    };
    let paid = join_all((0..30).map(buyer)).await;
    let payments: Vec<&Value> = paid.iter().collect();
    assert_eq!(stripe.disagreements(&payments), Vec::<String>::new());
    let attempts = paid.iter().flat_map(|payment| payment["operations"].as_array().unwrap());
    let again = attempts.filter(|operation| operation["attempts"].as_i64().unwrap() > 1).count();
    println!("{again} operations took more than one attempt");
    assert!(again > 0, "nothing was lost");
    for server in &servers {
        server.assert_clean().await;
    }
}
