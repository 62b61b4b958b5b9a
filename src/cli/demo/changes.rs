//! An order that its customer changes while that is possible, and the label of its parcel.

use std::collections::HashMap;

use chrono::Duration;
use serde_json::{Value, json};

use super::Error;
use super::fill::{Created, Filler, PlacedOrder};
use super::places::{SECOND_WAREHOUSE, WEB};

/// What is told of the changed order, by their ids.
pub struct Changed {
    pub order: String,
    pub label: String,
}

impl Filler<'_> {
    /// More of one product and less of another, a substitute, another address, another day and another warehouse; then
    /// it is paid, and its parcel is labelled.
    pub async fn change(&self, customers: &HashMap<&str, String>) -> Result<Changed, Error> {
        let plenty = self.data.plentiful(SECOND_WAREHOUSE);
        let buyer = self.data.orders.iter().rev().filter_map(|order| customers.get(order.customer.as_str())).nth(1);
        let step = |what: &str| format!("change-{what}");
        let asked = json!({
            "channel": WEB, "reference": "WEB-3", "customer_id": buyer, "ship_together": true,
            "lines": [{"sku": plenty[0], "quantity": 3}, {"sku": plenty[1], "quantity": 2}],
        });
        let order: PlacedOrder = self.post(&["orders"], &step("order"), &asked).await?;
        let path = |what| ["orders", order.id.as_str(), what];
        let line = |n: usize, what| ["orders", order.id.as_str(), "lines", order.lines[n].id.as_str(), what];

        let elsewhere = json!({"shipping_address": {
            "line1": "The office, 12 Station Road", "city": "Bristol", "postal_code": "BS1 6QF", "country": "GB",
        }});
        self.client.patch::<Value>(&["orders", &order.id], &elsewhere).await?;
        let more = json!({"lines": [{"sku": plenty[2], "quantity": 1}]});
        self.post::<Value>(&path("lines"), &step("more"), &more).await?;
        let less = json!({"quantity": 1, "reason": "Two are enough"});
        self.post::<Value>(&line(0, "cancel"), &step("less"), &less).await?;
        let instead = json!({"sku": plenty[3]});
        self.post::<Value>(&line(1, "substitute"), &step("instead"), &instead).await?;
        let later = json!({"promised_for": (self.today + Duration::days(7)).date_naive()});
        self.client.patch::<Value>(&line(0, "")[..4], &later).await?;
        let from = json!({"warehouse": SECOND_WAREHOUSE});
        self.post::<Value>(&path("reallocate"), &step("from"), &from).await?;

        let payment =
            json!({"order_id": order.id, "provider": "manual", "method": "bank_transfer", "capture": "automatic"});
        self.post::<Value>(&["payments"], &step("pay"), &payment).await?;
        let label = json!({
            "provider": "manual", "warehouse": SECOND_WAREHOUSE, "carrier": "DPD", "service": "Next day",
            "tracking_number": "15501234567890",
        });
        let Created { id: label } = self.post(&path("labels"), &step("label"), &label).await?;
        Ok(Changed { order: order.id, label })
    }
}
