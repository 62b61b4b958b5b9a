//! What customers bought: `draft → placed → completed | cancelled`, with payment and fulfilment beside it.
//!
//! What an open line is promised stands in inventory; this module keeps the order's life.
//!
//! **Invariant:** whoever changes an order locks its row first. A line's `shipped + cancelled` never
//! exceeds its quantity, `returned` never what was shipped, and what is left is exactly what
//! inventory promises it: allocated or backordered.

mod error;
mod events;
mod fulfil;
mod http;
mod model;
mod repo;
mod self_check;

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::events::{Event, Events};
use crate::inventory::{Allocate, Claim, Demand, Inventory, Wish};
use crate::platform::clock::Timestamp;
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Fault;
use crate::reservations::{Reservation, Reservations};
use crate::warehouses::Location;

pub use error::Error;
pub use http::router;

use model::{Filter, NewOrder, NewOrderLine, Order, OrderHead, OrderStatus};

#[derive(Clone)]
pub struct Orders {
    db: Db,
    reservations: Reservations,
    inventory: Inventory,
}

type Result<T> = std::result::Result<T, Error>;

/// A line about to be written.
struct DraftLine {
    id: Uuid,
    demand: Demand,
    price: Option<crate::platform::money::Money>,
}

impl Orders {
    pub fn new(db: Db, reservations: Reservations, inventory: Inventory) -> Self {
        Self { db, reservations, inventory }
    }

    /// Places an order, and promises stock to its lines: what a reservation holds, or what there is.
    async fn place_in_tx(&self, conn: &mut PgConnection, new: &NewOrder) -> Result<Order> {
        let now = repo::clock(conn).await?;
        let faults = new.faults(now);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let reservation = match new.reservation_id {
            Some(id) => Some(self.reservation(conn, new, id).await?),
            None => None,
        };
        let lines = self.draft_lines(conn, new, reservation.as_ref()).await?;
        let channel = new.channel.as_ref().map(|code| code.0.clone());
        let channel = channel.or_else(|| reservation.as_ref().and_then(|r| r.channel.clone()));
        let placed_at = new.placed_at.unwrap_or(now).min(now);
        let allocate = Allocate {
            order_id: id::new(),
            lines: lines.iter().map(|line| line.id).collect(),
            wish: Wish {
                demands: lines.iter().map(|line| line.demand.clone()).collect(),
                channel: channel.clone(),
                ship_to: new.shipping_address.as_ref().map_or_else(Location::default, |address| address.location()),
            },
            placed_at,
        };
        let news = match &reservation {
            Some(reservation) => self.reservations.commit_in_tx(conn, reservation.id, &allocate).await?,
            None => self.inventory.allocate_in_tx(conn, &allocate).await?,
        };
        repo::insert(conn, allocate.order_id, new, channel.as_deref(), placed_at, now).await?;
        let written: Vec<&DraftLine> = lines.iter().filter(|line| line.demand.quantity > 0).collect();
        repo::insert_lines(conn, allocate.order_id, &written).await?;
        let order = self.get_in_tx(conn, allocate.order_id).await?;
        let placed = std::iter::once(events::of("order.placed", &order));
        Events::publish_in_tx(conn, &placed.chain(news).collect::<Vec<_>>()).await?;
        Ok(order)
    }

    /// The reservation to make the order from.
    async fn reservation(&self, conn: &mut PgConnection, new: &NewOrder, id: Uuid) -> Result<Reservation> {
        let reservation = self.reservations.to_commit(conn, id).await.map_err(|error| match error {
            crate::reservations::Error::NotFound(_) => {
                Error::Invalid(vec![Fault::new("/reservation_id", "unknown", error.to_string())])
            }
            other => other.into(),
        })?;
        let asked = new.channel.as_ref().map(|code| &code.0);
        if asked.is_some() && reservation.channel.is_some() && asked != reservation.channel.as_ref() {
            let detail = "the reservation was made through another channel";
            return Err(Error::Invalid(vec![Fault::new("/channel", "differs", detail)]));
        }
        Ok(reservation)
    }

    /// A line for each line of the reservation or the request, priced.
    async fn draft_lines(
        &self,
        conn: &mut PgConnection,
        new: &NewOrder,
        reservation: Option<&Reservation>,
    ) -> Result<Vec<DraftLine>> {
        let demands: Vec<(Demand, Option<_>)> = match reservation {
            Some(reservation) => reservation.lines.iter().map(|line| (model::reserved(line), None)).collect(),
            None => new.lines.iter().flatten().map(NewOrderLine::demand).collect(),
        };
        let skus: Vec<String> = demands.iter().map(|(demand, _)| demand.sku.clone()).collect();
        let prices = self.inventory.prices(conn, &skus).await?;
        let lines = demands.into_iter().map(|(demand, price)| {
            let price = price.or_else(|| prices.get(&demand.sku).cloned());
            DraftLine { id: id::new(), demand, price }
        });
        Ok(lines.collect())
    }

    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<Order>> {
        let mut conn = self.db.snapshot().await?;
        let heads = repo::list(&mut conn, filter, page.after, page.fetch()).await?;
        let Page { items, next_cursor } = page.page(heads, |head| head.id);
        Ok(Page { items: self.assemble(&mut conn, items).await?, next_cursor })
    }

    /// By id or number.
    async fn get(&self, id_or_number: &str) -> Result<Order> {
        // In one moment: an order that is being shipped must not be seen in halves.
        let mut conn = self.db.snapshot().await?;
        let id = self.resolve(&mut conn, id_or_number).await?;
        self.get_in_tx(&mut conn, id).await
    }

    async fn resolve(&self, conn: &mut PgConnection, id_or_number: &str) -> Result<Uuid> {
        let missing = || Error::NotFound(id_or_number.to_owned());
        match (id_or_number.parse::<Uuid>(), id_or_number.parse::<i64>()) {
            (Ok(id), _) => Ok(id),
            (_, Ok(number)) => repo::id_of_number(conn, number).await?.ok_or_else(missing),
            _ => Err(missing()),
        }
    }

    async fn get_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Order> {
        let head = repo::find(conn, id).await?.ok_or_else(|| Error::NotFound(id.to_string()))?;
        let mut orders = self.assemble(conn, vec![head]).await?;
        Ok(orders.pop().expect("one head makes one order"))
    }

    /// Locks the order's row, and reads the order.
    async fn lock_in_tx(&self, conn: &mut PgConnection, id_or_number: &str) -> Result<Order> {
        let id = self.resolve(conn, id_or_number).await?;
        if !repo::lock(conn, id).await? {
            return Err(Error::NotFound(id_or_number.to_owned()));
        }
        self.get_in_tx(conn, id).await
    }

    /// Orders with all that belongs to them: a fixed number of statements, whatever their number.
    async fn assemble(&self, conn: &mut PgConnection, heads: Vec<OrderHead>) -> Result<Vec<Order>> {
        let ids: Vec<Uuid> = heads.iter().map(|head| head.id).collect();
        let lines = repo::lines_of(conn, &ids).await?;
        let shipments = repo::shipments_of(conn, &ids).await?;
        let returns = repo::returns_of(conn, &ids).await?;
        let claims = self.inventory.claims_of(conn, &ids).await?;
        let claims: HashMap<Uuid, Claim> = claims.into_iter().map(|claim| (claim.order_line_id, claim)).collect();
        Ok(model::assemble(heads, lines, &claims, shipments, returns))
    }

    /// Cancels what is not shipped yet. An order that is cancelled already stays so.
    async fn cancel_in_tx(&self, conn: &mut PgConnection, order: &Order, reason: Option<&str>) -> Result<Order> {
        if order.open() == 0 && order.lines.iter().any(|line| line.cancelled > 0) {
            return Ok(order.clone());
        }
        if order.open() == 0 {
            return Err(Error::State("everything is shipped: take it back with a return instead".to_owned()));
        }
        let freed = self.inventory.deallocate_in_tx(conn, order.head.id).await?;
        let cancelled: Vec<(Uuid, i64)> =
            freed.iter().map(|claim| (claim.order_line_id, claim.sourced.quantity())).collect();
        repo::add_cancelled(conn, &cancelled).await?;
        let (order, completed) = self.refresh_in_tx(conn, order.head.id, reason).await?;
        let cancelled = std::iter::once(events::of("order.cancelled", &order));
        Events::publish_in_tx(conn, &cancelled.chain(completed).collect::<Vec<_>>()).await?;
        Ok(order)
    }

    /// Derives the statuses anew from the lines and shipments. If that completed the order, the news of it
    /// is returned too, to be published after that of its cause.
    async fn refresh_in_tx(
        &self,
        conn: &mut PgConnection,
        id: Uuid,
        cancel_reason: Option<&str>,
    ) -> Result<(Order, Option<Event>)> {
        let before = self.get_in_tx(conn, id).await?;
        let (status, fulfilment) = (before.derived_status(), before.derived_fulfilment());
        repo::set_status(conn, id, status, fulfilment, cancel_reason).await?;
        let after = self.get_in_tx(conn, id).await?;
        let is_new = before.head.status != OrderStatus::Completed && after.head.status == OrderStatus::Completed;
        let completed = is_new.then(|| events::of("order.completed", &after));
        Ok((after, completed))
    }
}

/// Callers name moments of the past by clocks of their own, which may be ahead of the database's by a little.
fn check_past(at: Option<Timestamp>, now: Timestamp, pointer: &str) -> Option<Fault> {
    at.filter(|at| at.is_after(now)).map(|_| Fault::new(pointer, "future", "this is in the future"))
}
