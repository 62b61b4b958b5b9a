//! Payments: by hand, by a stand-in for Stripe that loses calls and answers, and by localstripe.

mod by_hand;
pub mod by_stripe;
mod localstripe;
#[path = "../../support/stripe.rs"]
pub mod stand_in;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Server};

/// An order of so many at 6.50.
async fn order_of(server: &Server, quantity: i64) -> Value {
    let line = json!({"sku": "TEA", "quantity": quantity, "unit_price": {"amount": 650, "currency": "EUR"}});
    server.post("/v1/orders", json!({"lines": [line]})).await.expect(201)
}

async fn read(server: &Server, payment: &Value) -> Value {
    server.get(&path(payment)).await.expect(200)
}

fn path(payment: &Value) -> String {
    format!("/v1/payments/{}", payment["id"].as_str().unwrap())
}

async fn payment_status(server: &Server, order: &Value) -> Value {
    server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200)["payment_status"].clone()
}

/// `[status, authorised, captured, refunded]`
fn amounts(payment: &Value) -> Value {
    json!([payment["status"], payment["authorised"], payment["captured"], payment["refunded"]])
}

async fn comes_to(server: &Server, payment: &Value, expected: Value) -> Value {
    let mut found = Value::Null;
    let reached = tokio::time::timeout(DEADLINE, async {
        while amounts(&found) != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
            found = read(server, payment).await;
        }
    });
    assert!(reached.await.is_ok(), "it never came to {expected}: {found:#}");
    found
}
