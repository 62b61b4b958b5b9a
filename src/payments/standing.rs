//! How it stands with the money of an order, as other modules see it.

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{CaptureMode, NewPayment, OperationKind, OperationState, Payment, PaymentState, ProviderName};
use super::{Payments, Result, repo};
use crate::access::Limits;
use crate::orders::Order;
use crate::platform::clock::Timestamp;
use crate::platform::db::text::to_text;

/// The money of an order, in its currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Promised or taken, though some of it may have been given back since
    pub promised: i64,
    /// Taken, though some of it may have been given back since
    pub taken: i64,
    /// Promised or taken, and not given back
    pub held: i64,
    /// Payments of which a provider can take so much
    pub to_take: Vec<(Uuid, i64)>,
    /// Money is promised that somebody has to say has come
    pub waits_for_word: bool,
    /// A provider was asked for something
    pub is_under_way: bool,
    /// How the newest payment is made
    pub method: Option<String>,
}

/// Something that a provider did, or somebody said of money.
#[derive(Clone, Debug)]
pub struct OperationNote {
    pub at: Timestamp,
    pub kind: String,
    pub status: String,
    pub attempts: i32,
    pub detail: Option<String>,
}

/// A promise of money that runs out.
#[derive(Clone, Debug)]
pub struct RunningOut {
    pub payment_id: Uuid,
    pub order_id: Uuid,
    /// In minor units, what is promised and not taken
    pub amount: i64,
    pub currency: String,
    pub expires_at: Timestamp,
}

impl Payments {
    /// Orders with a promise of money that runs out by then, in the order of their ids.
    pub async fn running_out(
        &self,
        conn: &mut PgConnection,
        until: Timestamp,
        after: Option<Uuid>,
        limit: i64,
    ) -> sqlx::Result<Vec<Uuid>> {
        repo::running_out(conn, until, after, limit).await
    }

    /// Those promises, of these orders.
    pub async fn running_out_of(
        &self,
        conn: &mut PgConnection,
        until: Timestamp,
        orders: &[Uuid],
    ) -> sqlx::Result<Vec<RunningOut>> {
        repo::running_out_of(conn, until, orders).await
    }

    /// The order's row is locked, where it is to stay so.
    pub async fn standing(&self, conn: &mut PgConnection, order: Uuid) -> Result<Standing> {
        let payments = repo::of_order(conn, order).await?;
        let is_under_way = repo::is_under_way(conn, order).await?;
        let left =
            |payment: &&Payment| payment.status == PaymentState::Authorised || payment.captured < payment.authorised;
        let by_hand = |payment: &&Payment| payment.provider == ProviderName::Manual;
        let known = || payments.iter().filter(|payment| payment.status != PaymentState::Pending);
        let of_provider = payments.iter().filter(|it| it.status == PaymentState::Authorised && !by_hand(it));
        Ok(Standing {
            promised: known().map(|payment| payment.claims() + payment.refunded).sum(),
            taken: known().map(|payment| payment.captured).sum(),
            held: known().map(Payment::claims).sum(),
            to_take: of_provider.map(|payment| (payment.id, payment.authorised)).collect(),
            waits_for_word: payments.iter().filter(by_hand).any(|payment| left(&payment) && payment.authorised > 0),
            is_under_way,
            method: payments.last().map(|newest| newest.method.clone()),
        })
    }

    /// Has money taken that is promised; the order is locked. What is under way is left alone.
    pub async fn take_in_tx(&self, conn: &mut PgConnection, order: &Order, payment: Uuid, amount: i64) -> Result<()> {
        let (_, payment) = self.lock_in_tx(conn, payment, &Limits::default()).await?;
        debug_assert_eq!(payment.order_id, order.head.id);
        self.ask_in_tx(conn, payment, OperationKind::Capture, amount, None).await
    }

    /// Notes that so much of an order was paid: somebody says so who has it.
    pub async fn note_paid_in_tx(
        &self,
        conn: &mut PgConnection,
        order: Uuid,
        method: &str,
        amount: i64,
        limits: &Limits,
    ) -> Result<()> {
        let new = NewPayment {
            order_id: order,
            provider: ProviderName::Manual,
            method: Some(method.to_owned()),
            amount: Some(amount),
            payment_method: None,
            capture: CaptureMode::Automatic,
        };
        self.pay_in_tx(conn, &new, limits).await.map(|_| ())
    }

    /// What was done with the money of an order, the oldest first.
    pub async fn operations(&self, conn: &mut PgConnection, order: Uuid) -> Result<Vec<OperationNote>> {
        let mut notes = Vec::new();
        for payment in repo::of_order(conn, order).await? {
            let done = repo::operations_of(conn, payment.id).await?.into_iter().map(|operation| OperationNote {
                at: operation.ended_at.unwrap_or(operation.created_at),
                kind: format!("payment.{}", to_text(operation.kind)),
                status: to_text::<OperationState>(operation.status),
                attempts: operation.attempts,
                detail: operation.error.or(operation.reason),
            });
            notes.extend(done);
        }
        Ok(notes)
    }
}
