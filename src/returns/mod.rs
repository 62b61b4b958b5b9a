//! Returns that are asked for before they come: approved or not, received, closed, and what is to be refunded for them.
//!
//! - **Invariant:** when a return is asked for, what is still to come of all returns of an order is with the customer.
//! - **Invariant:** what is to be refunded is never more than was paid for what came, and exactly that when all came, there is no fee
//!   and nothing was sent in its place.
//!
//! The order's row is locked before its returns are looked at. Goods come in as every return of an order does
//! ([`crate::orders`]).

mod error;
mod events;
mod http;
mod life;
mod model;
mod personal;
mod repo;
mod self_check;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::Limits;
use crate::events::Events;
use crate::orders::{self, ExchangeLine, NewReturn, Order, Orders};
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};

pub use error::Error;
pub use http::router;

use model::{Exchanged, Filter, NewReturnRequest, ReturnReceipt, ReturnRequest};

type Result<T> = std::result::Result<T, Error>;

/// Returns kept of one order.
const MOST: usize = 200;

#[derive(Clone)]
pub struct Returns {
    db: Db,
    orders: Orders,
}

impl Returns {
    pub fn new(db: Db, orders: Orders) -> Self {
        Self { db, orders }
    }

    async fn request_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &str,
        new: &NewReturnRequest,
        limits: &Limits,
    ) -> Result<ReturnRequest> {
        let order = self.orders.lock_in_tx(conn, order, limits).await?;
        let others = repo::of_order(conn, order.head.id).await?;
        if others.len() >= MOST {
            return Err(Error::TooMany(MOST));
        }
        let request = ReturnRequest::new(id::new(), &order, &others, new)?;
        repo::insert(conn, &request).await?;
        self.tell_in_tx(conn, request.id, "return.requested").await
    }

    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<ReturnRequest>> {
        let rows = repo::list(&mut *self.db.conn().await?, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |request| request.id))
    }

    async fn get(&self, id: Uuid, limits: &Limits) -> Result<ReturnRequest> {
        let found = repo::find(&mut *self.db.conn().await?, id).await?;
        found.filter(|found| limits.channels.reaches(found.channel.as_deref())).ok_or(Error::NotFound(id))
    }

    /// Locks the order of a return, and so the return.
    async fn lock_in_tx(&self, conn: &mut PgConnection, id: Uuid, limits: &Limits) -> Result<(Order, ReturnRequest)> {
        let order = repo::find(conn, id).await?.ok_or(Error::NotFound(id))?.order_id;
        let order = self.orders.lock_in_tx(conn, &order.to_string(), limits).await.map_err(|error| match error {
            orders::Error::NotFound(_) => Error::NotFound(id),
            other => other.into(),
        })?;
        let request = repo::find(conn, id).await?.ok_or(Error::NotFound(id))?;
        Ok((order, request))
    }

    /// Writes what was decided of a return, and publishes it.
    async fn save_in_tx(
        &self,
        conn: &mut PgConnection,
        request: &ReturnRequest,
        news: &'static str,
    ) -> Result<ReturnRequest> {
        repo::save(conn, request).await?;
        self.tell_in_tx(conn, request.id, news).await
    }

    /// Takes goods in, as a return of the order, and notes them here.
    async fn receive_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        mut request: ReturnRequest,
        receipt: &ReturnReceipt,
        actor: Uuid,
    ) -> Result<ReturnRequest> {
        request.check_receipt(receipt)?;
        let goods = NewReturn {
            lines: receipt.lines.clone(),
            reason: Some(format!("return request {}", request.id)),
            received_at: None,
        };
        self.orders.take_back_in_tx(conn, order, &goods, actor).await?;
        let after = self.orders.lock_in_tx(conn, &order.head.id.to_string(), &Limits::default()).await?;
        request.receive(receipt, after.paid_for_since(order));
        self.save_in_tx(conn, &request, "return.progressed").await
    }

    /// Places an order in the place of what has come, and notes it here.
    async fn exchange_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        mut request: ReturnRequest,
        lines: &[ExchangeLine],
    ) -> Result<ReturnRequest> {
        let credit = request.credit()?;
        let (placed, credit) = self.orders.exchange_in_tx(conn, order, lines, &credit).await?;
        request.exchange = Some(Exchanged { order_id: placed.head.id, order_number: placed.head.number, credit });
        self.save_in_tx(conn, &request, "return.exchanged").await
    }

    /// As it will be read.
    async fn tell_in_tx(&self, conn: &mut PgConnection, id: Uuid, news: &'static str) -> Result<ReturnRequest> {
        let written = repo::find(conn, id).await?.ok_or(Error::NotFound(id))?;
        Events::publish_in_tx(conn, &[events::of(news, &written)]).await?;
        Ok(written)
    }
}
