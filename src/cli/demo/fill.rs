//! Fills an empty instance, step by step. Every call has a key of its own, so a run that was cut off
//! is taken up by the next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Error;
use super::data::{Customer, Data, Fate, Order, Product, TransferLine, TransferState};
use super::places::{self, MARKET};
use crate::cli::client::{Batch, Client};

const BATCH: usize = 500;
const AT_ONCE: usize = 4;
const OPENED_DAYS_AGO: i64 = 35;
const DELIVERED_DAYS_AGO: i64 = 9;
const PREORDER_IN_DAYS: i64 = 21;
const CARRIERS: [&str; 3] = ["Royal Mail", "DPD", "PostNL"];

pub struct Filler<'a> {
    pub client: &'a Client,
    pub data: &'a Data,
    pub bar: &'a ProgressBar,
    edition: String,
    pub(super) today: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct Warehouse {
    created_at: DateTime<Utc>,
}

/// An order of the demo, and what belongs to it.
pub struct Placed {
    pub id: String,
    /// Not of orders that are paid elsewhere, and of some that are not paid at all
    pub payment: Option<String>,
    pub shipments: Vec<String>,
}

/// What was taken over of another channel.
#[derive(Debug, Deserialize)]
struct Import {
    order: PlacedOrder,
}

#[derive(Debug, Deserialize)]
struct Payment {
    id: String,
    amount: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlacedOrder {
    pub id: String,
    pub lines: Vec<PlacedLine>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlacedLine {
    pub id: String,
    #[serde(default)]
    allocations: Vec<Allocation>,
}

#[derive(Debug, Deserialize)]
struct Allocation {
    warehouse: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub id: String,
}

impl<'a> Filler<'a> {
    /// Makes the first warehouse, or finds that an earlier run of the demo made it.
    pub async fn begin(
        client: &'a Client,
        data: &'a Data,
        bar: &'a ProgressBar,
        edition: String,
    ) -> Result<Self, Error> {
        let [(code, body), ..] = places::warehouses();
        let key = format!("demo-{edition}-warehouse-{code}");
        let first: Warehouse = match client.post(&["warehouses"], &key, &body).await {
            Err(error) if error.is("already-exists") => return Err(Error::NotEmpty),
            made => made?,
        };
        let today = first.created_at;
        Ok(Self { client, data, bar, edition, today })
    }

    fn key(&self, step: &str) -> String {
        format!("demo-{}-{step}", self.edition)
    }

    pub(super) fn ago(&self, span: Duration) -> String {
        (self.today - span).to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        step: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        Ok(self.client.post(path, &self.key(step), body).await?)
    }

    pub async fn places(&self) -> Result<(), Error> {
        for (code, body) in places::warehouses() {
            let step = format!("warehouse-{code}");
            self.post::<Value>(&["warehouses"], &step, &body).await?;
        }
        for (code, body) in places::channels() {
            let step = format!("channel-{code}");
            self.post::<Value>(&["channels"], &step, &body).await?;
        }
        Ok(())
    }

    pub async fn products(&self) -> Result<(), Error> {
        let items: Vec<Value> = self.data.products.iter().map(|product| self.product(product)).collect();
        self.batches("products", &["products", "batch"], &items).await?;
        // Only now is each there to be named as the substitute of another.
        for product in self.data.products.iter().filter(|product| !product.substitutes().is_empty()) {
            let body = json!({"substitutes": product.substitutes()});
            self.client.patch::<Value>(&["products", &product.sku], &body).await?;
        }
        Ok(())
    }

    fn product(&self, product: &Product) -> Value {
        let mut body = json!({
            "sku": product.sku, "name": product.name, "category": product.category,
            "attributes": product.attributes(), "barcodes": [product.barcode],
            "price": {"amount": product.price_pence, "currency": "GBP"},
        });
        if let Some(units) = product.pack {
            body["packs"] = json!([{"name": "case", "quantity": units}]);
        }
        if let Some(limit) = product.backorder_limit {
            body["availability"] = json!({"backorder_limit": limit});
        }
        if let Some(limit) = product.preorder_limit {
            let release = (self.today + Duration::days(PREORDER_IN_DAYS)).date_naive();
            body["availability"] = json!({"preorder": {"release_date": release, "limit": limit}});
        }
        body
    }

    pub async fn stock(&self) -> Result<(), Error> {
        let mut items = Vec::new();
        for row in &self.data.stock {
            let mut put = |units: i64, reason: &str, days: i64| {
                if units > 0 {
                    items.push(json!({
                        "sku": row.sku, "warehouse": row.warehouse, "change": units, "reason": reason,
                        "effective_at": self.ago(Duration::days(days)),
                    }));
                }
            };
            put(row.opening, "opening_stock", OPENED_DAYS_AGO);
            put(row.delivered, "received", DELIVERED_DAYS_AGO);
        }
        self.batches("stock", &["stock", "adjustments", "batch"], &items).await?;
        let levels = self.data.stock.iter().map(|row| async move {
            let body = json!({"reorder_point": row.reorder_point, "safety_stock": row.safety_stock});
            let path = ["stock", row.sku.as_str(), "levels", row.warehouse.as_str()];
            self.client.patch::<Value>(&path, &body).await
        });
        stream::iter(levels).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(())
    }

    async fn batches(&self, step: &str, path: &[&str], items: &[Value]) -> Result<(), Error> {
        for (number, chunk) in items.chunks(BATCH).enumerate() {
            let key = self.key(&format!("{step}-{number}"));
            let batch: Batch = self.client.post(path, &key, &json!({"items": chunk})).await?;
            if let Some(problem) = batch.results.iter().find_map(|result| result.refusal(None)) {
                return Err(Error::Item { step: step.to_owned(), problem });
            }
        }
        Ok(())
    }

    /// Who buys; the ids are by reference.
    pub async fn customers(&self) -> Result<HashMap<&'a str, String>, Error> {
        let added = self.data.customers.values().map(|customer| async move {
            let body = json!({
                "reference": customer.reference, "name": customer.name, "email": customer.email,
                "addresses": [{"label": "Home", "address": address(customer), "default_shipping": true, "default_billing": true}],
                "consent": {"marketing": customer.country == "GB", "source": "checkout"},
            });
            let added: Created = self.post(&["customers"], &format!("customer-{}", customer.reference), &body).await?;
            Ok::<_, Error>((customer.reference.as_str(), added.id))
        });
        stream::iter(added).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Places the orders, oldest first, has them paid, and ships or cancels most; they are by reference.
    pub async fn orders(&self, customers: &HashMap<&str, String>) -> Result<HashMap<&'a str, Placed>, Error> {
        let mut placed = HashMap::new();
        for (number, order) in self.data.orders.iter().enumerate() {
            placed.insert(order.reference.as_str(), self.order(order, number, customers).await?);
            self.bar.inc(1);
        }
        Ok(placed)
    }

    async fn order(&self, order: &Order, number: usize, customers: &HashMap<&str, String>) -> Result<Placed, Error> {
        let lines: Vec<Value> =
            order.lines().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
        let mut body = json!({
            "lines": lines, "reference": order.reference, "placed_at": self.ago(Duration::minutes(order.minutes_ago)),
        });
        let step = format!("order-{}", order.reference);
        let (placed, payment) = if order.channel == MARKET {
            let customer = self.data.customers.get(&order.customer);
            body["customer"] = json!({"name": customer.map(|customer| &customer.name)});
            body["shipping_address"] = json!(customer.map(address));
            body["paid"] = json!({"method": "marketplace"});
            let Import { order } = self.post(&["channels", MARKET, "orders"], &step, &body).await?;
            (order, None)
        } else {
            body["channel"] = json!(order.channel);
            body["customer_id"] = json!(customers.get(order.customer.as_str()));
            let placed: PlacedOrder = self.post(&["orders"], &step, &body).await?;
            let payment = self.pay(order, &placed.id, number).await?;
            (placed, payment)
        };
        let shipments = match order.fate {
            Fate::Open => Vec::new(),
            Fate::Cancelled => {
                let step = format!("cancel-{}", order.reference);
                let reason = json!({"reason": "Ordered by mistake"});
                self.post::<Value>(&["orders", &placed.id, "cancel"], &step, &reason).await?;
                Vec::new()
            }
            Fate::Shipped => self.ship(order, &placed, number).await?,
        };
        Ok(Placed { id: placed.id, payment, shipments })
    }

    /// What has left is paid; of the others some are, some in part, for some the money is promised (what is cancelled
    /// voids that), and some are not paid at all.
    async fn pay(&self, order: &Order, id: &str, number: usize) -> Result<Option<String>, Error> {
        let (method, capture, is_in_part) = match (order.fate, number % 5) {
            (Fate::Shipped, turn) => (["card_terminal", "invoice", "bank_transfer"][turn % 3], "automatic", false),
            (Fate::Cancelled, _) | (Fate::Open, 0) => ("invoice", "manual", false),
            (Fate::Open, 1) => ("bank_transfer", "manual", false),
            (Fate::Open, 2) => ("bank_transfer", "automatic", false),
            (Fate::Open, 3) => ("invoice", "manual", true),
            (Fate::Open, _) => return Ok(None),
        };
        let body = json!({"order_id": id, "provider": "manual", "method": method, "capture": capture});
        let payment: Payment = self.post(&["payments"], &format!("pay-{}", order.reference), &body).await?;
        if is_in_part {
            let half = json!({"amount": (payment.amount / 2).max(1)});
            let path = ["payments", &payment.id, "capture"];
            self.post::<Value>(&path, &format!("capture-{}", order.reference), &half).await?;
        }
        Ok(Some(payment.id))
    }

    async fn ship(&self, order: &Order, placed: &PlacedOrder, number: usize) -> Result<Vec<String>, Error> {
        let warehouses: BTreeSet<&str> =
            placed.lines.iter().flat_map(|line| &line.allocations).map(|from| from.warehouse.as_str()).collect();
        let mut shipments = Vec::new();
        for (part, warehouse) in warehouses.into_iter().enumerate() {
            let body = json!({
                "warehouse": warehouse, "carrier": CARRIERS[(number + part) % CARRIERS.len()],
                "tracking_number": format!("SH{}{part}GB", order.reference),
                "shipped_at": self.ago(Duration::minutes(order.shipped_minutes_ago)),
            });
            let step = format!("ship-{}-{warehouse}", order.reference);
            let Created { id: shipment } = self.post(&["orders", &placed.id, "shipments"], &step, &body).await?;
            if let Some(minutes) = order.delivered_minutes_ago {
                let body = json!({"delivered_at": self.ago(Duration::minutes(minutes))});
                let path = ["orders", &placed.id, "shipments", &shipment, "deliver"];
                self.post::<Value>(&path, &format!("deliver-{}-{warehouse}", order.reference), &body).await?;
            }
            shipments.push(shipment);
        }
        Ok(shipments)
    }

    pub async fn transfers(&self) -> Result<(), Error> {
        let mut transfers: BTreeMap<&str, Vec<&TransferLine>> = BTreeMap::new();
        for line in &self.data.transfers {
            transfers.entry(&line.transfer).or_default().push(line);
        }
        for (name, lines) in transfers {
            let first = lines[0];
            let items: Vec<Value> = lines.iter().map(|l| json!({"sku": l.sku, "quantity": l.quantity})).collect();
            let body = json!({"from": first.from, "to": first.to, "lines": items, "reference": format!("DEMO-{name}")});
            let Created { id } = self.post(&["transfers"], &format!("transfer-{name}"), &body).await?;
            if first.state == TransferState::Draft {
                continue;
            }
            self.post::<Value>(&["transfers", &id, "ship"], &format!("transfer-ship-{name}"), &json!({})).await?;
            if first.state == TransferState::PartlyReceived {
                let body = json!({"lines": [{"sku": first.sku, "quantity": first.quantity / 2}]});
                self.post::<Value>(&["transfers", &id, "receipts"], &format!("transfer-receive-{name}"), &body).await?;
            }
        }
        Ok(())
    }

    pub async fn conditions(&self) -> Result<(), Error> {
        for (number, row) in self.data.conditions.iter().enumerate() {
            let body = json!({"sku": row.sku, "warehouse": row.warehouse, "quantity": row.quantity,
                "from": "good", "to": row.condition, "note": row.note});
            self.post::<Value>(&["stock", "condition-changes"], &format!("condition-{number}"), &body).await?;
        }
        Ok(())
    }
}

/// Where a customer lives.
fn address(customer: &Customer) -> Value {
    json!({
        "city": customer.city, "postal_code": customer.postal_code, "country": customer.country,
        "latitude": customer.latitude, "longitude": customer.longitude,
    })
}
