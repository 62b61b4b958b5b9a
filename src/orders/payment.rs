//! How far an order is paid: what its payments come to, and what follows from that.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{self, Order, OrderStatus, PaymentStatus};
use super::{Orders, Result, events, repo};
use crate::access::Limits;
use crate::events::{Event, Events};
use crate::platform::difference::Difference;
use crate::platform::money::Money;

/// Orders that the self-check reads at once.
const CHECKED_AT_ONCE: usize = 1000;

/// An order as payments see it.
#[derive(Clone, Debug)]
pub struct Payable {
    pub id: Uuid,
    pub channel: Option<String>,
    pub is_cancelled: bool,
    /// None where a line has no price
    pub total: Option<Money>,
}

/// What the payments of an order come to, in its currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    pub authorised: i64,
    pub captured: i64,
    pub refunded: i64,
    /// Whether the newest of them failed
    pub failed: bool,
}

impl Paid {
    pub(super) fn status(&self, total: Option<i64>) -> PaymentStatus {
        let kept = self.captured - self.refunded;
        let covers = |amount: i64| total.is_some_and(|total| total > 0 && amount >= total);
        match self {
            Self { captured: 1.., .. } if kept == 0 => PaymentStatus::Refunded,
            Self { captured: 1.., .. } if covers(kept) => PaymentStatus::Paid,
            Self { refunded: 1.., .. } => PaymentStatus::PartiallyRefunded,
            // Of an order that was cancelled there is nothing left to pay.
            Self { captured: 1.., .. } if total == Some(0) => PaymentStatus::Paid,
            Self { authorised: 1.., .. } => PaymentStatus::Authorised,
            Self { failed: true, .. } => PaymentStatus::Failed,
            _ => PaymentStatus::Unpaid,
        }
    }
}

impl Orders {
    /// Locks the order's row for a change of its payments. Outside the limits it is as good as none.
    pub async fn lock_payable_in_tx(&self, conn: &mut PgConnection, id: Uuid, limits: &Limits) -> Result<Payable> {
        let order = self.lock_in_tx(conn, &id.to_string(), limits).await?;
        let is_cancelled = order.head.status == OrderStatus::Cancelled;
        Ok(Payable { id, channel: order.head.channel, is_cancelled, total: order.total })
    }

    /// Notes what the payments of an order come to, under the lock of its row; tells when that pays it for the first time.
    pub async fn settle_in_tx(&self, conn: &mut PgConnection, id: Uuid, paid: Paid) -> Result<()> {
        repo::payment::set_paid(conn, id, paid).await?;
        let order = self.get_in_tx(conn, id).await?;
        if self.derive_payment_in_tx(conn, &order).await? {
            let order = self.get_in_tx(conn, id).await?;
            Events::publish_in_tx(conn, &[events::of("order.paid", &order)]).await?;
        }
        Ok(())
    }

    /// Derives the payment status anew. Says whether the order is paid for the first time.
    pub(super) async fn derive_payment_in_tx(&self, conn: &mut PgConnection, order: &Order) -> Result<bool> {
        let paid = repo::payment::paid(conn, order.head.id).await?;
        let status = paid.status(order.total.as_ref().map(|total| total.amount));
        let pays = status == PaymentStatus::Paid && order.head.status != OrderStatus::Cancelled;
        Ok(repo::payment::set_status(conn, order.head.id, status, pays).await?)
    }

    /// Says that somebody has to look at an order.
    pub async fn flag_in_tx(&self, conn: &mut PgConnection, id: Uuid, reason: &str) -> Result<()> {
        let order = self.get_in_tx(conn, id).await?;
        let data = json!({ "order_id": id, "order_number": order.head.number, "reason": reason });
        let flagged = Event::new("order.flagged", format!("orders/{id}"), &data);
        Ok(Events::publish_in_tx(conn, &[flagged]).await?)
    }

    /// What orders know of their payments against what these say, and the statuses that follow.
    pub async fn self_check_paid(
        &self,
        conn: &mut PgConnection,
        paid: &BTreeMap<Uuid, Paid>,
    ) -> Result<Vec<Difference>> {
        let known = repo::payment::all_paid(conn).await?;
        let mut differences = Vec::new();
        for (id, said) in paid {
            let noted = known.get(id).copied().unwrap_or_default();
            let mut check = |name: &str, expected: i64, found: i64| {
                if expected != found {
                    differences.push(Difference::new(name, format!("order {id}"), expected, found));
                }
            };
            check("authorised_equals_payments", said.authorised, noted.authorised);
            check("captured_equals_payments", said.captured, noted.captured);
            check("refunded_equals_payments", said.refunded, noted.refunded);
        }
        let ids: Vec<Uuid> = known.keys().copied().collect();
        for ids in ids.chunks(CHECKED_AT_ONCE) {
            let mut lines = model::by_order(repo::lines_of(conn, ids).await?);
            for head in repo::find_all(conn, ids).await? {
                let totals = model::totals_of(&head, &lines.remove(&head.id).unwrap_or_default());
                let follows = known[&head.id].status(totals.map(|totals| totals.total.amount));
                if follows != head.payment_status {
                    let subject = format!("order {}, {follows:?} and not {:?}", head.id, head.payment_status);
                    differences.push(Difference::new("payment_status_follows", subject, 1, 0));
                }
            }
        }
        Ok(differences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_follows_from_the_amounts() {
        let of =
            |authorised, captured, refunded, failed| Paid { authorised, captured, refunded, failed }.status(Some(100));
        assert_eq!(of(0, 0, 0, false), PaymentStatus::Unpaid);
        assert_eq!(of(0, 0, 0, true), PaymentStatus::Failed);
        assert_eq!(of(100, 0, 0, false), PaymentStatus::Authorised);
        assert_eq!(of(100, 60, 0, false), PaymentStatus::Authorised);
        assert_eq!(of(100, 100, 0, false), PaymentStatus::Paid);
        assert_eq!(of(100, 100, 1, false), PaymentStatus::PartiallyRefunded);
        assert_eq!(of(100, 100, 100, false), PaymentStatus::Refunded);
        assert_eq!(of(200, 200, 100, false), PaymentStatus::Paid);
    }
}
