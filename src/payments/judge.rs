//! What a provider's books mean for an operation that is under way. Pure.

use super::model::{OperationKind, Payment, PaymentState};
use super::provider::{Phase, Report};
use crate::platform::clock::Timestamp;

/// What is to be done about an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider has not done it yet
    Act,
    /// Somebody else has to do something first: the shopper, or the provider
    Waits,
    Done(Outcome),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded {
        amount: i64,
        reference: Option<String>,
        /// Of an authorisation
        expires_at: Option<Timestamp>,
    },
    Failed(String),
    /// The provider's books name another amount or currency: nothing of it is booked
    Differs(String),
}

/// Where the money is that was promised, should the provider have given it up.
pub fn gone(phase: &Phase) -> Option<PaymentState> {
    match phase {
        Phase::Cancelled => Some(PaymentState::Voided),
        Phase::Expired => Some(PaymentState::Expired),
        _ => None,
    }
}

/// In words, how the provider's books differ from what was asked for.
pub fn difference(payment: &Payment, report: &Report) -> Option<String> {
    let (amount, currency) = (report.amount, &report.currency);
    let is_ours = amount == payment.amount && *currency == payment.currency;
    (!is_ours).then(|| {
        let (ours, our_currency) = (payment.amount, &payment.currency);
        format!("the provider's books say {amount} {currency}, and {ours} {our_currency} was asked for")
    })
}

/// `by_us`: it is confirmed by us, and not by the shopper. Refunds are books of their own, and are not asked for here.
pub fn judge(kind: OperationKind, asked: i64, by_us: bool, payment: &Payment, report: &Report) -> Verdict {
    if let Some(told) = difference(payment, report) {
        return Verdict::Done(Outcome::Differs(told));
    }
    let done = |amount| Verdict::Done(Outcome::Succeeded { amount, reference: None, expires_at: report.expires_at });
    let failed = |told: &str| Verdict::Done(Outcome::Failed(told.to_owned()));
    match (kind, &report.phase) {
        (OperationKind::Authorise, Phase::Authorised | Phase::Captured) => done(asked),
        (OperationKind::Authorise, Phase::Unconfirmed) if by_us => Verdict::Act,
        (OperationKind::Authorise, Phase::Declined(told)) if by_us => failed(told),
        // A shopper who was declined may try again.
        (OperationKind::Authorise, Phase::Unconfirmed | Phase::Waiting | Phase::Declined(_)) => Verdict::Waits,
        (OperationKind::Capture, Phase::Authorised) => Verdict::Act,
        (OperationKind::Capture, Phase::Captured) => done(report.received),
        (OperationKind::Void, Phase::Cancelled | Phase::Expired) => done(asked),
        (OperationKind::Void, Phase::Captured) => failed("the money was taken already"),
        (OperationKind::Void, _) => Verdict::Act,
        (_, Phase::Cancelled) => failed("it was given up at the provider"),
        (_, Phase::Expired) => failed("the authorisation ran out"),
        (OperationKind::Capture, _) => failed("it is not authorised"),
        (OperationKind::Refund, _) => unreachable!("refunds are found by themselves"),
    }
}
