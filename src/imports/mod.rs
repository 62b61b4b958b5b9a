//! Orders that were placed elsewhere: at a marketplace, at a till. They are sold already, so they are never refused for want of
//! stock.
//!
//! - **Invariant:** of a channel and a reference there is one order, however often and by however many it is brought.

mod error;
mod http;
mod model;
mod repo;

use sqlx::PgConnection;

use crate::access::Limits;
use crate::orders::{Order, Orders};
use crate::payments::Payments;

pub use error::Error;
pub use http::router;

use model::{Import, ImportedOrder, Oversold, PaidElsewhere};

type Result<T> = std::result::Result<T, Error>;

#[derive(Clone)]
pub struct Imports {
    orders: Orders,
    payments: Payments,
}

impl Imports {
    pub fn new(orders: Orders, payments: Payments) -> Self {
        Self { orders, payments }
    }

    /// Takes an order over, unless it was before: says whether it is new. The limits are those of the caller, and allow the
    /// channel.
    async fn take_over_in_tx(
        &self,
        conn: &mut PgConnection,
        channel: &str,
        new: &ImportedOrder,
        limits: &Limits,
    ) -> Result<(Import, bool)> {
        if !repo::claim(conn, channel, &new.reference).await? {
            let (order, oversold) = repo::find(conn, channel, &new.reference).await?;
            let order = self.orders.lock_in_tx(conn, &order.to_string(), limits).await?;
            return Ok((Import { order, oversold }, false));
        }
        let (order, oversold) = self.orders.place_sold_in_tx(conn, &new.order(channel)).await?;
        let oversold = oversold.into_iter().map(|(sku, quantity)| Oversold { sku, quantity });
        let oversold: Vec<Oversold> = oversold.collect();
        repo::set_order(conn, channel, &new.reference, order.head.id, &oversold).await?;
        let id = order.head.id.to_string();
        if let Some(paid) = &new.paid {
            self.note_paid_in_tx(conn, &order, paid, limits).await?;
        }
        let order = self.orders.lock_in_tx(conn, &id, limits).await?;
        Ok((Import { order, oversold }, true))
    }

    /// What the channel says it has does not have to be what the lines come to: somebody is told then.
    async fn note_paid_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        paid: &PaidElsewhere,
        limits: &Limits,
    ) -> Result<()> {
        let total = order.total.as_ref().map(|total| total.amount).filter(|total| *total > 0);
        let amount = total.map(|total| paid.amount.unwrap_or(total).min(total));
        if let Some(amount) = amount {
            let method = paid.method.as_deref().unwrap_or("paid_elsewhere");
            self.payments.note_paid_in_tx(conn, order.head.id, method, amount, limits).await?;
        }
        let differs = match (total, paid.amount) {
            (None, None) => Some("it was paid elsewhere, and what its lines cost is not known".to_owned()),
            (None, Some(paid)) => Some(format!("{paid} were paid elsewhere, and what its lines cost is not known")),
            (Some(total), Some(paid)) if paid != total => {
                Some(format!("{paid} were paid elsewhere, and it comes to {total}"))
            }
            (Some(_), _) => None,
        };
        match differs {
            Some(told) => Ok(self.orders.flag_in_tx(conn, order.head.id, &told).await?),
            None => Ok(()),
        }
    }
}
