//! The real localstripe, which `.ci/stripe/provider.py` starts.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::by_stripe::{config, pay, reference};
use super::stand_in::{SECRET_KEY, WEBHOOK_SECRET};
use super::{comes_to, order_of, path, payment_status};
use crate::harness::Server;

/// The Python that has it; `.ci/run` makes one.
const PYTHON: &str = "STRIPE_PROVIDER_PYTHON";

/// It ends with the test: its standard input does.
struct LocalStripe {
    process: Child,
    url: String,
}

impl LocalStripe {
    /// None where it is not installed, which is said aloud, and must not be in CI.
    fn start() -> Option<Self> {
        let Some(python) = std::env::var_os(PYTHON) else {
            assert!(std::env::var_os("CI").is_none(), "in CI, {PYTHON} says where localstripe is");
            let told = format!(
                "SKIPPED: payments by localstripe. {PYTHON}=$(.ci/venv .ci/stripe/requirements.txt)/bin/python makes it run\n"
            );
            // Past the test harness, which keeps to itself what a test prints that passes.
            std::io::stderr().write_all(told.as_bytes()).unwrap();
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/stripe/provider.py");
        let mut process = Command::new(python)
            .args(["-B", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "localstripe did not start: run {script} to see why");
        Some(Self { process, url })
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let call = Client::new().post(format!("{}{path}", self.url)).bearer_auth(SECRET_KEY).body(body);
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        let answer = call.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Value {
        let call = Client::new().get(format!("{}{path}", self.url)).bearer_auth(SECRET_KEY);
        call.send().await.unwrap().json().await.unwrap()
    }

    /// What the shopper's browser gets for a card.
    async fn card(&self, number: &str) -> String {
        let card = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2050"),
            ("card[cvc]", "123"),
        ];
        self.post("/v1/payment_methods", &card).await["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for LocalStripe {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn cards_are_charged_declined_and_paid_back() {
    let Some(stripe) = LocalStripe::start() else { return };
    let server = Server::with(config(&stripe.url)).await;
    server.shop(&[("TEA", 100)]).await;
    let order = order_of(&server, 2).await;
    let bad = stripe.card("4000000000000341").await;
    let declined = pay(&server, &order, json!({"payment_method": bad})).await;
    let declined = comes_to(&server, &declined, json!(["failed", 0, 0, 0])).await;
    assert_eq!(declined["last_error"], "Your card was declined.");

    let good = stripe.card("4242424242424242").await;
    let payment = pay(&server, &order, json!({"payment_method": good})).await;
    comes_to(&server, &payment, json!(["authorised", 1300, 0, 0])).await;
    server.post(&format!("{}/capture", path(&payment)), json!({"amount": 1000})).await.expect(202);
    comes_to(&server, &payment, json!(["captured", 1300, 1000, 0])).await;
    server.post(&format!("{}/refund", path(&payment)), json!({"amount": 300})).await.expect(202);
    comes_to(&server, &payment, json!(["captured", 1300, 1000, 300])).await;
    let intent = reference(&server, &payment).await;
    let charge = &stripe.get(&format!("/v1/payment_intents/{intent}?expand[]=latest_charge")).await["latest_charge"];
    // Of its 1300, 300 were never taken and 300 were given back.
    assert_eq!((&charge["captured"], &charge["amount_refunded"]), (&json!(true), &json!(600)));
    let refunds = stripe.get(&format!("/v1/refunds?payment_intent={intent}")).await;
    let ours =
        refunds["data"].as_array().unwrap().iter().filter(|refund| refund["metadata"]["operation_id"].is_string());
    assert_eq!(ours.map(|refund| &refund["amount"]).collect::<Vec<_>>(), [300]);

    let rest = pay(&server, &order, json!({"payment_method": stripe.card("5555555555554444").await})).await;
    comes_to(&server, &rest, json!(["authorised", 300 + 300, 0, 0])).await;
    server.post(&format!("{}/void", path(&rest)), Value::Null).await.expect(202);
    comes_to(&server, &rest, json!(["voided", 0, 0, 0])).await;
    assert_eq!(payment_status(&server, &order).await, "partially_refunded");
    server.assert_clean().await;
}

#[tokio::test]
async fn a_shopper_pays_in_the_browser_and_localstripe_tells() {
    let Some(stripe) = LocalStripe::start() else { return };
    let server = Server::with(config(&stripe.url)).await;
    let hook = format!("{}/v1/payments/webhooks/stripe", server.url);
    stripe.post("/_config/webhooks/shop", &[("url", &hook), ("secret", WEBHOOK_SECRET)]).await;
    server.shop(&[("TEA", 100)]).await;
    let order = order_of(&server, 1).await;
    let payment = pay(&server, &order, json!({})).await;
    let intent = reference(&server, &payment).await;
    let card = stripe.card("4242424242424242").await;
    stripe.post(&format!("/v1/payment_intents/{intent}"), &[("payment_method", &card)]).await;
    stripe.post(&format!("/v1/payment_intents/{intent}/confirm"), &[]).await;
    // It tells of nothing before money was taken.
    stripe.post(&format!("/v1/payment_intents/{intent}/capture"), &[]).await;
    comes_to(&server, &payment, json!(["captured", 650, 650, 0])).await;
    assert_eq!(payment_status(&server, &order).await, "paid");
    server.assert_clean().await;
}
