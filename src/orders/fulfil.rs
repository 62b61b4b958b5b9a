//! Shipping, delivering, taking back.

use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::{Order, OrderLine, OrderStatus, Return, ReturnLine, Shipment, ShipmentLine, ShipmentStatus};
use super::{Error, Orders, Result, check_past, events, repo};
use crate::access::Limit;
use crate::events::Events;
use crate::inventory::{self, Disposition, ShipLine, Sku};
use crate::platform::clock::Timestamp;
use crate::platform::id;
use crate::platform::problem::Fault;
use crate::platform::quantity::Quantity;
use crate::warehouses::Code;

/// Units of a product to ship
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 2}))]
pub struct NewShipmentLine {
    pub sku: Sku,
    pub quantity: Quantity,
}

/// Goods that leave a warehouse
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"warehouse": "LONDON", "carrier": "Royal Mail", "tracking_number": "RM123456789GB"}))]
pub struct NewShipment {
    pub warehouse: Code,
    /// What leaves; all that is allocated there when left out
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Option<Vec<NewShipmentLine>>,
    #[schema(min_length = 1, max_length = 100)]
    pub carrier: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    pub tracking_number: Option<String>,
    /// When it left, if not now
    pub shipped_at: Option<Timestamp>,
}

/// Units of a product that come back
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 1, "disposition": "restock", "warehouse": "LONDON"}))]
pub struct NewReturnLine {
    pub sku: Sku,
    pub quantity: Quantity,
    pub disposition: Disposition,
    /// Where they come in
    pub warehouse: Code,
}

/// Goods that come back
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-1", "quantity": 1, "disposition": "restock", "warehouse": "LONDON"}], "reason": "too strong"}))]
pub struct NewReturn {
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<NewReturnLine>,
    #[schema(max_length = 200)]
    pub reason: Option<String>,
    /// When they came in, if not now
    pub received_at: Option<Timestamp>,
}

impl Orders {
    /// Ships what the order is promised from one warehouse, or part of it.
    pub(super) async fn ship_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        new: &NewShipment,
        actor: Uuid,
    ) -> Result<Shipment> {
        if let Some(why) = &order.head.held_for {
            return Err(Error::State(format!("it must not be shipped yet: {why}")));
        }
        if order.head.ship_together && order.lines.iter().any(|line| line.backordered > 0) {
            let detail = "it is to be sent together, and some of it waits for stock: set ship_together to false to send what is there";
            return Err(Error::State(detail.to_owned()));
        }
        let now = repo::clock(conn).await?;
        if let Some(fault) = check_past(new.shipped_at, now, "/shipped_at") {
            return Err(Error::Invalid(vec![fault]));
        }
        let lines = plan_shipment(order, new)?;
        let shipment = Shipment {
            id: id::new(),
            order_id: order.head.id,
            warehouse: new.warehouse.0.clone(),
            status: ShipmentStatus::Shipped,
            carrier: new.carrier.clone(),
            tracking_number: new.tracking_number.clone(),
            shipped_at: Some(new.shipped_at.unwrap_or(now).min(now)),
            delivered_at: None,
            lines,
        };
        let goods: Vec<ShipLine> = shipment.lines.iter().map(goods).collect();
        self.inventory.ship_in_tx(conn, shipment.id, &shipment.warehouse, &goods, shipment.shipped_at, actor).await?;
        repo::goods::insert_shipment(conn, &shipment, now).await?;
        let shipped: Vec<(Uuid, i64)> = goods.iter().map(|line| (line.order_line_id, line.quantity)).collect();
        repo::goods::add_shipped(conn, &shipped).await?;
        let (order, completed) = self.refresh_in_tx(conn, order.head.id, None).await?;
        let own = ["shipment.created", "shipment.shipped"].map(|kind| events::shipment(kind, &order, &shipment));
        Events::publish_in_tx(conn, &own.into_iter().chain(completed).collect::<Vec<_>>()).await?;
        Ok(shipment)
    }

    /// Lets nobody ship an order, for a reason, or lets it go. Its row is locked.
    pub async fn hold_back_in_tx(&self, conn: &mut PgConnection, id: Uuid, why: Option<&str>) -> Result<()> {
        Ok(repo::payment::set_held_for(conn, id, why).await?)
    }

    /// The shipments with a carrier's number, each with its order, in the order in which these are locked.
    pub async fn shipments_numbered(&self, conn: &mut PgConnection, number: &str) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
        repo::goods::shipments_numbered(conn, number).await
    }

    /// The shipment has arrived. One that has arrived already stays so.
    pub async fn deliver_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        shipment: Uuid,
        limit: &Limit,
        delivered_at: Option<Timestamp>,
    ) -> Result<Shipment> {
        let now = repo::clock(conn).await?;
        if let Some(fault) = check_past(delivered_at, now, "/delivered_at") {
            return Err(Error::Invalid(vec![fault]));
        }
        let found = order.shipments.iter().find(|s| s.id == shipment && limit.allows(&s.warehouse));
        let found = found.ok_or(Error::NoShipment(shipment))?;
        if found.status == ShipmentStatus::Delivered {
            return Ok(found.clone());
        }
        let delivered_at = delivered_at.unwrap_or(now).min(now);
        repo::goods::set_delivered(conn, shipment, delivered_at).await?;
        let (order, completed) = self.refresh_in_tx(conn, order.head.id, None).await?;
        let delivered = order.shipments.iter().find(|s| s.id == shipment).ok_or(Error::NoShipment(shipment))?;
        let own = std::iter::once(events::shipment("shipment.delivered", &order, delivered));
        Events::publish_in_tx(conn, &own.chain(completed).collect::<Vec<_>>()).await?;
        Ok(delivered.clone())
    }

    /// Takes goods back.
    pub async fn take_back_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        new: &NewReturn,
        actor: Uuid,
    ) -> Result<Return> {
        let now = repo::clock(conn).await?;
        if let Some(fault) = check_past(new.received_at, now, "/received_at") {
            return Err(Error::Invalid(vec![fault]));
        }
        let r#return = Return {
            id: id::new(),
            order_id: order.head.id,
            reason: new.reason.clone(),
            received_at: new.received_at.unwrap_or(now).min(now),
            lines: plan_return(order, new)?,
        };
        // Inventory is told line by line of the request: its pointers are the caller's.
        let goods = new.lines.iter().map(|line| inventory::ReturnLine {
            sku: line.sku.0.clone(),
            quantity: line.quantity.0,
            warehouse: line.warehouse.0.clone(),
            disposition: line.disposition,
        });
        let goods: Vec<inventory::ReturnLine> = goods.collect();
        self.inventory.take_back_in_tx(conn, r#return.id, &goods, Some(r#return.received_at), actor).await?;
        repo::goods::insert_return(conn, &r#return, now).await?;
        repo::goods::add_returned(conn, &r#return.lines).await?;
        let (order, completed) = self.refresh_in_tx(conn, order.head.id, None).await?;
        let own = std::iter::once(events::returned(&order, &r#return));
        Events::publish_in_tx(conn, &own.chain(completed).collect::<Vec<_>>()).await?;
        Ok(r#return)
    }
}

fn goods(line: &ShipmentLine) -> ShipLine {
    ShipLine { order_line_id: line.order_line_id, sku: line.sku.clone(), quantity: line.quantity }
}

/// Which order lines the shipment serves, and with how much.
fn plan_shipment(order: &Order, new: &NewShipment) -> Result<Vec<ShipmentLine>> {
    if order.head.status != OrderStatus::Placed {
        return Err(Error::State("only an order that is placed can be shipped".to_owned()));
    }
    let warehouse = new.warehouse.0.as_str();
    let allocated = |line: &OrderLine| line.allocated_in(warehouse);
    let Some(asked) = &new.lines else {
        let all = order.lines.iter().filter(|line| allocated(line) > 0);
        let all: Vec<ShipmentLine> = all.map(|line| shipment_line(line, allocated(line))).collect();
        if all.is_empty() {
            let detail = format!("nothing of this order is allocated in {warehouse}");
            return Err(Error::Conflict(vec![Fault::new("/warehouse", "nothing_allocated", detail)]));
        }
        return Ok(all);
    };
    let wanted: Vec<(&str, i64)> = asked.iter().map(|line| (line.sku.0.as_str(), line.quantity.0)).collect();
    let taken = distribute(&order.lines, &wanted, allocated, |sku, open| {
        format!("{open} of {sku} are allocated in {warehouse}")
    })?;
    let mut lines: Vec<ShipmentLine> = Vec::new();
    for (line, quantity, _) in taken {
        match lines.iter_mut().find(|shipped| shipped.order_line_id == line.id) {
            Some(shipped) => shipped.quantity += quantity,
            None => lines.push(shipment_line(line, quantity)),
        }
    }
    Ok(lines)
}

fn shipment_line(line: &OrderLine, quantity: i64) -> ShipmentLine {
    ShipmentLine { order_line_id: line.id, sku: line.sku.clone(), quantity }
}

/// Which order lines come back, and how much of each.
fn plan_return(order: &Order, new: &NewReturn) -> Result<Vec<ReturnLine>> {
    let wanted: Vec<(&str, i64)> = new.lines.iter().map(|line| (line.sku.0.as_str(), line.quantity.0)).collect();
    let taken = distribute(
        &order.lines,
        &wanted,
        |line| line.shipped - line.returned,
        |sku, open| format!("{open} of {sku} are with the customer"),
    )?;
    let lines = taken.into_iter().map(|(line, quantity, n)| ReturnLine {
        order_line_id: line.id,
        sku: line.sku.clone(),
        quantity,
        disposition: new.lines[n].disposition,
        warehouse: new.lines[n].warehouse.0.clone(),
    });
    Ok(lines.collect())
}

/// Spreads what is asked for by product over the order's lines of that product, in their order.
/// Gives (line, quantity, index of the wish). Every wish that asks too much is a fault.
pub(super) fn distribute<'a>(
    lines: &'a [OrderLine],
    wanted: &[(&str, i64)],
    capacity: impl Fn(&OrderLine) -> i64,
    explain: impl Fn(&str, i64) -> String,
) -> Result<Vec<(&'a OrderLine, i64, usize)>> {
    let mut left: Vec<(&OrderLine, i64)> = lines.iter().map(|line| (line, capacity(line))).collect();
    let mut taken = Vec::new();
    let mut faults = Vec::new();
    for (n, (sku, quantity)) in wanted.iter().enumerate() {
        let mut open = *quantity;
        for (line, capacity) in left.iter_mut().filter(|(line, capacity)| line.sku == *sku && *capacity > 0) {
            let part = open.min(*capacity);
            if part > 0 {
                *capacity -= part;
                open -= part;
                taken.push((*line, part, n));
            }
        }
        if !lines.iter().any(|line| line.sku == *sku) {
            faults.push(Fault::new(format!("/lines/{n}/sku"), "not_ordered", format!("{sku} was not ordered")));
        } else if open > 0 {
            let detail = explain(sku, quantity - open);
            faults.push(Fault::new(format!("/lines/{n}/quantity"), "too_many", detail));
        }
    }
    if faults.is_empty() { Ok(taken) } else { Err(Error::Conflict(faults)) }
}
