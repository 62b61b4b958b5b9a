//! Payments, and what may be done with them. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Error;
use crate::orders::{Paid, Payable};
use crate::platform::clock::Timestamp;
use crate::platform::db::text::to_text;
use crate::platform::id;
use crate::platform::problem::Fault;

/// Of what a provider says, what is kept.
const ERROR_KEPT: usize = 1000;

/// Who moves the money
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderName {
    /// Somebody of the shop, whose word is the fact
    Manual,
    Stripe,
}

/// Where a payment is in its life
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Nobody has promised anything yet
    Pending,
    /// The money is promised
    Authorised,
    /// Some of the money came
    Captured,
    /// The promise was given up
    Voided,
    /// It was declined
    Failed,
    /// The promise ran out
    Expired,
}

impl PaymentState {
    /// Whether nothing came of it, against everybody's wish.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Expired)
    }
}

/// When money is taken that was promised
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMode {
    /// When somebody says so
    #[default]
    Manual,
    /// At once, all of it
    Automatic,
}

/// What is done with a payment
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    Authorise,
    Capture,
    Void,
    Refund,
}

/// How it stands with an operation
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    Pending,
    Succeeded,
    Failed,
}

/// A payment to make
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "provider": "manual", "method": "invoice"}))]
pub struct NewPayment {
    pub order_id: Uuid,
    pub provider: ProviderName,
    /// How it is paid, in a word of yours; `invoice` for `manual` and `card` for others when left out
    #[schema(pattern = "^[a-z0-9_]{1,32}$")]
    pub method: Option<String>,
    /// In minor units of the order's currency; all that is not paid yet when left out
    #[schema(minimum = 1, maximum = 1_000_000_000_000i64)]
    pub amount: Option<i64>,
    /// A token that the provider's script made in the shopper's browser (`pm_…`); without one, the shopper confirms there
    #[schema(pattern = "^[A-Za-z0-9_]{1,255}$")]
    pub payment_method: Option<String>,
    #[serde(default)]
    #[schema(inline)]
    pub capture: CaptureMode,
}

/// How much to capture
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 599}))]
pub struct NewCapture {
    /// In minor units; all that is authorised when left out
    #[schema(minimum = 1, maximum = 1_000_000_000_000i64)]
    pub amount: Option<i64>,
}

/// How much to give back
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 99, "reason": "a broken cup"}))]
pub struct NewRefund {
    /// In minor units; all that was captured when left out
    #[schema(minimum = 1, maximum = 1_000_000_000_000i64)]
    pub amount: Option<i64>,
    #[schema(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
}

/// Money for an order, in minor units: `amount ≥ authorised ≥ captured ≥ refunded`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a20", "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "channel": "web",
    "provider": "manual", "method": "invoice", "status": "captured", "capture": "manual", "currency": "EUR", "amount": 1198,
    "authorised": 1198, "captured": 599, "refunded": 99, "provider_reference": null, "expires_at": null, "last_error": null,
    "created_at": "2026-11-23T09:30:00.000Z", "updated_at": "2026-11-24T11:00:00.000Z"
}))]
pub struct Payment {
    pub id: Uuid,
    pub order_id: Uuid,
    /// Of its order
    pub channel: Option<String>,
    pub provider: ProviderName,
    #[schema(example = "invoice")]
    pub method: String,
    pub status: PaymentState,
    pub capture: CaptureMode,
    /// ISO 4217 code
    #[schema(example = "EUR")]
    pub currency: String,
    /// Asked for
    pub amount: i64,
    pub authorised: i64,
    pub captured: i64,
    pub refunded: i64,
    /// What the provider calls it
    pub provider_reference: Option<String>,
    /// When the authorisation runs out
    pub expires_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Something that was done with a payment, or is to be done by its provider
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PaymentOperation {
    pub id: Uuid,
    pub kind: OperationKind,
    pub amount: i64,
    pub status: OperationState,
    pub reason: Option<String>,
    pub provider_reference: Option<String>,
    pub error: Option<String>,
    pub attempts: i32,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// A payment with what was done with it
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a20", "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "channel": "web",
    "provider": "manual", "method": "invoice", "status": "captured", "capture": "manual", "currency": "EUR", "amount": 1198,
    "authorised": 1198, "captured": 599, "refunded": 99, "provider_reference": null, "expires_at": null, "last_error": null,
    "created_at": "2026-11-23T09:30:00.000Z", "updated_at": "2026-11-24T11:00:00.000Z",
    "operations": [{
        "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a21", "kind": "capture", "amount": 599, "status": "succeeded", "reason": null,
        "provider_reference": null, "error": null, "attempts": 0,
        "created_at": "2026-11-24T11:00:00.000Z", "ended_at": "2026-11-24T11:00:00.000Z",
    }],
}))]
pub struct PaymentDetail {
    #[serde(flatten)]
    pub payment: Payment,
    /// In their order
    pub operations: Vec<PaymentOperation>,
    /// With which the shopper's browser confirms it, while it waits for that; read it from `GET /v1/payments/{id}`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub client_secret: Option<String>,
}

/// What to list.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub order_id: Option<Uuid>,
    pub status: Option<PaymentState>,
    pub provider: Option<ProviderName>,
    pub expiring_before: Option<Timestamp>,
    pub channels: Option<Vec<String>>,
}

type Result<T> = std::result::Result<T, Error>;

impl NewPayment {
    pub(super) fn faults(&self) -> Vec<Fault> {
        let is_needless = self.provider == ProviderName::Manual && self.payment_method.is_some();
        let detail = "what is paid by hand has no token of a provider";
        is_needless.then(|| Fault::new("/payment_method", "unexpected", detail)).into_iter().collect()
    }
}

/// A payment of an order, beside the others that it has.
pub(super) fn begin(new: &NewPayment, order: &Payable, others: &[Payment]) -> Result<Payment> {
    if order.is_cancelled {
        return Err(Error::State("the order is cancelled: there is nothing to pay".to_owned()));
    }
    let Some(total) = &order.total else {
        let detail = "not every line of this order has a price, so what is to be paid is not known";
        return Err(Error::Invalid(vec![Fault::new("/order_id", "unpriced", detail)]));
    };
    let left = total.amount - others.iter().map(Payment::claims).sum::<i64>();
    if left <= 0 {
        return Err(Error::State("other payments cover the whole order already".to_owned()));
    }
    let method = if new.provider == ProviderName::Manual { "invoice" } else { "card" };
    let now = Timestamp::now();
    Ok(Payment {
        id: id::new(),
        order_id: order.id,
        channel: order.channel.clone(),
        provider: new.provider,
        method: new.method.clone().unwrap_or_else(|| method.to_owned()),
        status: PaymentState::Pending,
        capture: new.capture,
        currency: total.currency.clone(),
        amount: within(new.amount, left)?,
        authorised: 0,
        captured: 0,
        refunded: 0,
        provider_reference: None,
        expires_at: None,
        last_error: None,
        created_at: now,
        updated_at: now,
    })
}

/// What the payments of an order come to, the oldest first.
pub(super) fn paid(payments: &[Payment]) -> Paid {
    let sum = |of: fn(&Payment) -> i64| payments.iter().map(of).sum();
    Paid {
        authorised: sum(|payment| payment.authorised),
        captured: sum(|payment| payment.captured),
        refunded: sum(|payment| payment.refunded),
        failed: payments.last().is_some_and(|newest| newest.status.is_failure()),
    }
}

impl PaymentOperation {
    pub(super) fn new(kind: OperationKind, amount: i64, status: OperationState, reason: Option<&str>) -> Self {
        Self {
            id: id::new(),
            kind,
            amount,
            status,
            reason: reason.map(str::to_owned),
            provider_reference: None,
            error: None,
            attempts: 0,
            created_at: Timestamp::now(),
            ended_at: None,
        }
    }
}

impl Payment {
    /// What it takes of its order's total, or may still take.
    pub(super) fn claims(&self) -> i64 {
        match self.status {
            PaymentState::Pending => self.amount,
            _ => self.captured - self.refunded + self.rest(),
        }
    }

    /// What is promised and may still be taken.
    fn rest(&self) -> i64 {
        match (self.status, self.provider) {
            // A provider takes money once, and gives up the rest.
            (PaymentState::Captured, ProviderName::Stripe) => 0,
            _ => self.authorised - self.captured,
        }
    }

    fn state(&self, what: &str) -> Error {
        Error::State(format!("a payment that is {} cannot be {what}", to_text(self.status)))
    }

    /// How much is captured when so much is asked for.
    pub(super) fn to_capture(&self, order: &Payable, asked: Option<i64>) -> Result<i64> {
        if order.is_cancelled {
            return Err(Error::State("the order is cancelled: there is nothing to pay".to_owned()));
        }
        match self.status {
            PaymentState::Authorised | PaymentState::Captured if self.rest() > 0 => within(asked, self.rest()),
            _ => Err(self.state("captured")),
        }
    }

    /// How much a void gives up.
    pub(super) fn to_void(&self) -> Result<i64> {
        match self.status {
            PaymentState::Pending | PaymentState::Authorised => Ok(self.authorised),
            PaymentState::Captured if self.rest() > 0 => Ok(self.rest()),
            _ => Err(self.state("voided")),
        }
    }

    /// How much is given back when so much is asked for.
    pub(super) fn to_refund(&self, asked: Option<i64>) -> Result<i64> {
        if self.captured == self.refunded {
            return Err(Error::State("there is nothing of this payment to give back".to_owned()));
        }
        within(asked, self.captured - self.refunded)
    }

    /// What gives up all that there is of it: what is promised, and then what was taken.
    pub(super) fn to_give_up(&self) -> impl Iterator<Item = (OperationKind, i64)> + use<> {
        let void = self.to_void().ok().map(|amount| (OperationKind::Void, amount));
        let refund = self.to_refund(None).ok().map(|amount| (OperationKind::Refund, amount));
        void.into_iter().chain(refund)
    }

    /// Books that nothing came of it; gives the type of the news.
    pub(super) fn end(&mut self, status: PaymentState, reason: &str) -> &'static str {
        (self.status, self.authorised, self.expires_at) = (status, 0, None);
        self.last_error = Some(kept(reason));
        match status {
            PaymentState::Expired => "payment.expired",
            PaymentState::Voided => "payment.voided",
            _ => "payment.failed",
        }
    }

    /// Books an operation that succeeded; gives the type of the news.
    pub(super) fn book(&mut self, kind: OperationKind, amount: i64) -> &'static str {
        self.last_error = None;
        match kind {
            OperationKind::Authorise => {
                (self.status, self.authorised) = (PaymentState::Authorised, amount);
                "payment.authorised"
            }
            OperationKind::Capture => {
                self.status = PaymentState::Captured;
                self.captured += amount;
                "payment.captured"
            }
            OperationKind::Void => {
                self.authorised = self.captured;
                if self.captured == 0 {
                    self.status = PaymentState::Voided;
                }
                "payment.voided"
            }
            OperationKind::Refund => {
                self.refunded += amount;
                "payment.refunded"
            }
        }
    }
}

fn within(asked: Option<i64>, most: i64) -> Result<i64> {
    match asked {
        None => Ok(most),
        Some(amount) if amount <= most => Ok(amount),
        Some(amount) => {
            let detail = format!("{amount} is more than the {most} that there are");
            Err(Error::Invalid(vec![Fault::new("/amount", "exceeds", detail)]))
        }
    }
}

/// As it is kept.
pub(super) fn kept(error: &str) -> String {
    error.replace('\0', "\u{fffd}").chars().take(ERROR_KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payment(provider: ProviderName) -> Payment {
        Payment {
            id: Uuid::nil(),
            order_id: Uuid::nil(),
            channel: None,
            provider,
            method: "card".to_owned(),
            status: PaymentState::Pending,
            capture: CaptureMode::Manual,
            currency: "EUR".to_owned(),
            amount: 100,
            authorised: 0,
            captured: 0,
            refunded: 0,
            provider_reference: None,
            expires_at: None,
            last_error: None,
            created_at: Timestamp::now(),
            updated_at: Timestamp::now(),
        }
    }

    proptest! {
        /// Whatever is asked in whatever order, what is allowed keeps the amounts in their order.
        #[test]
        fn amounts_stay_in_their_order(asked in prop::collection::vec((0..4, prop::option::of(1..150i64)), 0..20), manual: bool) {
            let mut payment = payment(if manual { ProviderName::Manual } else { ProviderName::Stripe });
            let order = Payable { id: Uuid::nil(), channel: None, is_cancelled: false, total: None };
            for (what, amount) in asked {
                let allowed = match what {
                    0 if payment.status == PaymentState::Pending => Ok((OperationKind::Authorise, payment.amount)),
                    0 | 1 => payment.to_capture(&order, amount).map(|amount| (OperationKind::Capture, amount)),
                    2 => payment.to_void().map(|amount| (OperationKind::Void, amount)),
                    _ => payment.to_refund(amount).map(|amount| (OperationKind::Refund, amount)),
                };
                if let Ok((kind, amount)) = allowed {
                    payment.book(kind, amount);
                }
                let Payment { amount, authorised, captured, refunded, .. } = payment;
                prop_assert!(amount >= authorised && authorised >= captured && captured >= refunded && refunded >= 0);
                prop_assert!((0..=amount).contains(&payment.claims()));
                prop_assert_eq!(payment.status == PaymentState::Captured, captured > 0);
            }
            // Whatever it has come to, giving it up leaves nothing.
            for (kind, amount) in payment.to_give_up() {
                payment.book(kind, amount);
            }
            prop_assert_eq!(payment.claims(), 0);
        }
    }
}
