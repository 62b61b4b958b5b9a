//! Orders that will miss what was promised, and what can be done about each.
//!
//! It keeps nothing: it asks the modules below what they know, and every proposal is a call of theirs. What has changed since
//! is noticed there, when the call is made.

mod error;
mod http;
mod model;

use std::collections::HashMap;

use uuid::Uuid;

use crate::inventory::Inventory;
use crate::orders::Orders;
use crate::payments::{Payments, RunningOut};
use crate::platform::clock::Timestamp;
use crate::platform::db::Db;
use crate::platform::page::{Page, PageRequest};
use crate::workflows::{Trouble, Workflows};

pub use error::Error;
pub use http::router;

use model::{Known, OrderAtRisk};

type Result<T> = std::result::Result<T, Error>;

#[derive(Clone)]
pub struct AtRisk {
    db: Db,
    orders: Orders,
    inventory: Inventory,
    payments: Payments,
    workflows: Workflows,
}

/// How soon something has to be due to be a risk.
#[derive(Clone, Copy)]
struct Horizon {
    /// What is due before then is at risk
    until: Timestamp,
    /// A line that was promised for no day is due so long after its order was placed
    ship_within_seconds: i64,
}

impl AtRisk {
    pub fn new(db: Db, orders: Orders, inventory: Inventory, payments: Payments, workflows: Workflows) -> Self {
        Self { db, orders, inventory, payments, workflows }
    }

    /// The oldest first. A fixed number of statements, whatever the number of orders.
    async fn list(
        &self,
        within_seconds: i64,
        ship_within_seconds: i64,
        page: PageRequest<Uuid>,
    ) -> Result<Page<OrderAtRisk>> {
        let mut conn = self.db.snapshot().await?;
        let now = self.orders.now(&mut conn).await?;
        let horizon = Horizon { until: now.plus_seconds(within_seconds), ship_within_seconds };
        let (after, limit) = (page.after, page.fetch());
        let placed_before = horizon.until.plus_seconds(-ship_within_seconds);
        let mut ids = self.orders.due(&mut conn, horizon.until, placed_before, after, limit).await?;
        ids.extend(self.payments.running_out(&mut conn, horizon.until, after, limit).await?);
        ids.extend(self.workflows.troubled(&mut conn, horizon.until, after, limit).await?);
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(usize::try_from(limit).expect("limits are 1 to 200"));
        let page = page.page(ids, |id| *id);
        let orders = self.orders.several(&mut conn, &page.items).await?;
        let waiting = orders.iter().flat_map(|order| &order.lines).filter(|line| line.backordered > 0);
        let mut waiting: Vec<String> = waiting.map(|line| line.sku.clone()).collect();
        waiting.sort_unstable();
        waiting.dedup();
        let alternatives = self.inventory.alternatives(&mut conn, &waiting).await?;
        let mut running_out: HashMap<Uuid, Vec<RunningOut>> = HashMap::new();
        for payment in self.payments.running_out_of(&mut conn, horizon.until, &page.items).await? {
            running_out.entry(payment.order_id).or_default().push(payment);
        }
        let troubles = self.workflows.troubles_of(&mut conn, horizon.until, &page.items).await?;
        let troubles: HashMap<Uuid, Trouble> =
            troubles.into_iter().map(|trouble| (trouble.order_id, trouble)).collect();
        let items = orders.iter().map(|order| {
            let id = order.head.id;
            let payments = running_out.get(&id).map(Vec::as_slice).unwrap_or_default();
            let known = Known { now, horizon, alternatives: &alternatives, payments, trouble: troubles.get(&id) };
            OrderAtRisk::of(order, &known)
        });
        Ok(Page { items: items.collect(), next_cursor: page.next_cursor })
    }
}
