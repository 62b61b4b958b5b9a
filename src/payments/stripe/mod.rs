//! Stripe: PaymentIntents that are captured by hand.
//!
//! An intent is made unconfirmed and kept before it is confirmed, so an answer that is lost charges nobody twice. Stripe
//! forgets an `Idempotency-Key` after a day, so its books are asked as well before anything is repeated.

mod call;
mod signature;

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

use super::provider::{Asked, Hint, Opened, Phase, Provider, ProviderError, Report};
use super::settings::Settings;
use crate::platform::clock::Timestamp;
use call::Calls;

type Result<T> = std::result::Result<T, ProviderError>;

/// Refunds read at once.
const PAGE: usize = 100;

pub struct Stripe {
    calls: Calls,
    webhook_secret: String,
}

impl Stripe {
    pub fn new(settings: &Settings) -> Self {
        Self { calls: Calls::new(settings), webhook_secret: settings.webhook_secret.clone() }
    }

    async fn on_intent(&self, reference: &str, what: &str, operation: Uuid, form: &[(&str, &str)]) -> Result<Report> {
        let path = format!("/v1/payment_intents/{reference}/{what}");
        self.calls.post(&path, &operation.to_string(), form).await?;
        self.fetch(reference).await
    }

    async fn refunds(&self, reference: &str) -> Result<Vec<Value>> {
        let mut refunds: Vec<Value> = Vec::new();
        loop {
            let mut path = format!("/v1/refunds?payment_intent={reference}&limit={PAGE}");
            if let Some(last) = refunds.last().and_then(|refund| refund["id"].as_str()) {
                path = format!("{path}&starting_after={last}");
            }
            let page = self.calls.get(&path).await?;
            let items = page["data"].as_array().cloned().unwrap_or_default();
            let is_last = page["has_more"] != true || items.is_empty();
            refunds.extend(items);
            if is_last {
                return Ok(refunds);
            }
        }
    }
}

impl Provider for Stripe {
    async fn open(&self, asked: &Asked<'_>) -> Result<Opened> {
        let (amount, currency) = (asked.amount.to_string(), asked.currency.to_lowercase());
        let (payment, order, operation) =
            (asked.payment.to_string(), asked.order.to_string(), asked.operation.to_string());
        let mut form = vec![
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("capture_method", "manual"),
            ("payment_method_types[]", "card"),
            ("metadata[payment_id]", &payment),
            ("metadata[order_id]", &order),
            ("metadata[operation_id]", &operation),
        ];
        form.extend(asked.payment_method.map(|token| ("payment_method", token)));
        let made = self.calls.post("/v1/payment_intents", &format!("{operation}-open"), &form).await;
        let intent = made?;
        let reference = intent["id"].as_str().filter(|id| is_name(id));
        let reference = reference.ok_or_else(|| ProviderError::Again("the intent has no id".to_owned()))?;
        let client_secret = intent["client_secret"].as_str().map(str::to_owned);
        Ok(Opened { reference: reference.to_owned(), client_secret })
    }

    async fn authorise(&self, reference: &str, operation: Uuid) -> Result<Report> {
        self.on_intent(reference, "confirm", operation, &[]).await
    }

    async fn capture(&self, reference: &str, operation: Uuid, amount: i64) -> Result<Report> {
        self.on_intent(reference, "capture", operation, &[("amount_to_capture", &amount.to_string())]).await
    }

    async fn void(&self, reference: &str, operation: Uuid) -> Result<Report> {
        self.on_intent(reference, "cancel", operation, &[]).await
    }

    async fn refund(&self, reference: &str, operation: Uuid, amount: i64) -> Result<String> {
        let (amount, operation) = (amount.to_string(), operation.to_string());
        let form = [("payment_intent", reference), ("amount", amount.as_str()), ("metadata[operation_id]", &operation)];
        let refund = self.calls.post("/v1/refunds", &operation, &form).await?;
        match (refund["status"].as_str(), refund["id"].as_str()) {
            (Some("failed" | "canceled"), _) => Err(ProviderError::Declined("the refund failed".to_owned())),
            (_, Some(id)) => Ok(id.to_owned()),
            _ => Err(ProviderError::Again("the refund has no id".to_owned())),
        }
    }

    async fn refund_of(&self, reference: &str, operation: Uuid) -> Result<Option<String>> {
        let operation = operation.to_string();
        let refunds = self.refunds(reference).await?;
        let ours = refunds.iter().find(|refund| {
            let failed = matches!(refund["status"].as_str(), Some("failed" | "canceled"));
            refund["metadata"]["operation_id"] == operation && !failed
        });
        Ok(ours.and_then(|refund| refund["id"].as_str().map(str::to_owned)))
    }

    async fn fetch(&self, reference: &str) -> Result<Report> {
        let intent = self.calls.get(&format!("/v1/payment_intents/{reference}?expand[]=latest_charge")).await?;
        let mut report = read(&intent)?;
        let is_told = intent["amount_received"].is_i64() || intent["latest_charge"]["amount_captured"].is_i64();
        if report.phase == Phase::Captured && !is_told {
            // Where that is not told, what was authorised and not taken stands in the books as given back, for no operation.
            let refunds = self.refunds(reference).await?;
            let rest = refunds.iter().filter(|refund| refund["metadata"]["operation_id"].is_null());
            report.received -= rest.filter_map(|refund| refund["amount"].as_i64()).sum::<i64>();
        }
        Ok(report)
    }

    fn verify_webhook(&self, signature: &str, body: &[u8], now: i64) -> std::result::Result<Hint, &'static str> {
        signature::verify(&self.webhook_secret, signature, body, now)?;
        let event: Value = serde_json::from_slice(body).map_err(|_| "it is no JSON")?;
        let id = event["id"].as_str().filter(|id| is_name(id)).ok_or("it has no id")?;
        let object = &event["data"]["object"];
        let reference = match object["object"].as_str() {
            Some("payment_intent") => object["id"].as_str(),
            _ => object["payment_intent"].as_str(),
        };
        Ok(Hint { id: id.to_owned(), reference: reference.map(str::to_owned) })
    }
}

/// Whether something can be an id of Stripe's: it goes into addresses.
fn is_name(id: &str) -> bool {
    (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn read(intent: &Value) -> Result<Report> {
    let charge = &intent["latest_charge"];
    let amount = intent["amount"].as_i64();
    let (Some(amount), Some(currency)) = (amount, intent["currency"].as_str()) else {
        return Err(ProviderError::Again("the intent cannot be read".to_owned()));
    };
    let error = &intent["last_payment_error"];
    let phase = match intent["status"].as_str().unwrap_or_default() {
        "requires_confirmation" => Phase::Unconfirmed,
        "requires_payment_method" if error.is_object() => {
            let told = error["message"].as_str().or_else(|| error["code"].as_str());
            Phase::Declined(told.unwrap_or("the payment was declined").to_owned())
        }
        "requires_capture" => Phase::Authorised,
        "succeeded" => Phase::Captured,
        "canceled" if intent["cancellation_reason"] == "automatic" => Phase::Expired,
        "canceled" => Phase::Cancelled,
        _ => Phase::Waiting,
    };
    let told = intent["amount_received"].as_i64().or_else(|| charge["amount_captured"].as_i64());
    let received = if phase == Phase::Captured { told.unwrap_or(amount) } else { 0 };
    let expires_at = charge["payment_method_details"]["card"]["capture_before"].as_i64();
    let expires_at = expires_at.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).map(Timestamp);
    Ok(Report { phase, amount, currency: currency.to_uppercase(), received, expires_at })
}
