//! Packing slips: of what is to be packed, and of what was.

use uuid::Uuid;

use super::papers::{self, Party, Slip, SlipLine};
use super::{Carriers, Error, Result, shipment_of};
use crate::access::Limits;
use crate::orders::Order;
use crate::platform::problem::Fault;

/// What lies in a parcel, and who brings it.
struct Content {
    warehouse: String,
    carrier: Option<String>,
    tracking_number: Option<String>,
    /// Products and quantities
    lines: Vec<(String, i64)>,
}

impl Carriers {
    /// Of what is to leave a warehouse. Gives the order as well.
    pub(super) async fn slip_to_pack(
        &self,
        order: &str,
        warehouse: Option<String>,
        limits: &Limits,
    ) -> Result<(Order, Vec<u8>)> {
        let order = self.orders.get(order, limits).await?;
        let warehouse = warehouse.map_or_else(|| packed_at(&order), Ok)?;
        let lines = order.lines.iter().filter_map(|line| {
            let parts = line.allocations.iter().filter(|part| part.warehouse == warehouse);
            let quantity: i64 = parts.map(|part| part.quantity).sum();
            (quantity > 0).then(|| (line.sku.clone(), quantity))
        });
        let lines: Vec<(String, i64)> = lines.collect();
        if lines.is_empty() {
            return Err(Error::State(format!("nothing of this order is to leave {warehouse}")));
        }
        self.draw_slip(order, Content { warehouse, carrier: None, tracking_number: None, lines }).await
    }

    /// Of what has left. Gives the order as well.
    pub(super) async fn slip_of_shipment(
        &self,
        order: &str,
        shipment: Uuid,
        limits: &Limits,
    ) -> Result<(Order, Vec<u8>)> {
        let order = self.orders.get(order, limits).await?;
        let shipment = shipment_of(&order, shipment, limits)?;
        let content = Content {
            warehouse: shipment.warehouse.clone(),
            carrier: shipment.carrier.clone(),
            tracking_number: shipment.tracking_number.clone(),
            lines: shipment.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect(),
        };
        self.draw_slip(order, content).await
    }

    async fn draw_slip(&self, order: Order, content: Content) -> Result<(Order, Vec<u8>)> {
        let skus: Vec<String> = content.lines.iter().map(|(sku, _)| sku.clone()).collect();
        let mut conn = self.db.conn().await?;
        let names = self.inventory.names(&mut conn, &skus).await?;
        // One that is gone has its code for a name.
        let warehouse = self.warehouse(&mut conn, &content.warehouse).await.map(|warehouse| warehouse.fields.name);
        drop(conn);
        let warehouse = warehouse.unwrap_or(content.warehouse);
        let lines = content.lines.into_iter().map(|(sku, quantity)| {
            let name = names.get(&sku).cloned();
            SlipLine { sku, name, quantity }
        });
        let lines: Vec<SlipLine> = lines.collect();
        let shop_name = self.shop_name.clone();
        let drawn = tokio::task::spawn_blocking(move || {
            let address = order.head.shipping_address.clone();
            let pdf = papers::slip(&Slip {
                shop_name: &shop_name,
                to: address.map(|address| Party { name: order.head.customer.name.clone(), address }),
                order_number: order.head.number,
                reference: order.head.reference.as_deref(),
                warehouse: &warehouse,
                carrier: content.carrier.as_deref(),
                tracking_number: content.tracking_number.as_deref(),
                lines,
            });
            (order, pdf)
        });
        Ok(drawn.await.expect("drawing does not panic"))
    }
}

/// The warehouse that an order is to leave, if it is one.
fn packed_at(order: &Order) -> Result<String> {
    let parts = order.lines.iter().flat_map(|line| &line.allocations).filter(|part| part.quantity > 0);
    let mut warehouses: Vec<&str> = parts.map(|part| part.warehouse.as_str()).collect();
    warehouses.sort_unstable();
    warehouses.dedup();
    match warehouses.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(Error::State("nothing of this order is to leave any warehouse".to_owned())),
        several => {
            let detail = format!("it leaves from {}: say which is meant", several.join(" and "));
            Err(Error::Invalid(vec![Fault::new("/query/warehouse", "required", detail)]))
        }
    }
}
