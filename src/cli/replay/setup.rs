//! What has to be there before the first invoice: places, products, opening stock.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::Error;
use super::plan::Event;
use super::run::{CURRENCY, Driver, time};
use crate::cli::client::{Batch, Page};

const BATCH: usize = 500;
const BATCHES_AT_ONCE: usize = 4;

impl Driver<'_> {
    /// The warehouses and the channel, unless they are there.
    pub async fn places(&self) -> Result<(), Error> {
        for (at, code) in self.places.warehouses.iter().enumerate() {
            let body = json!({
                "code": code, "name": format!("Replay warehouse {}", at + 1), "priority": 100 + at,
                "time_zone": "Europe/London", "address": {"country": "GB"},
            });
            self.create(&["warehouses"], &self.keys.content("warehouse", &body), &body).await?;
        }
        let links: Vec<Value> = self.places.warehouses.iter().map(|code| json!({"warehouse": code})).collect();
        let body = json!({"code": self.places.channel, "name": "Replay", "warehouses": links});
        let created = self.create(&["channels"], &self.keys.content("channel", &body), &body).await?;
        if created { Ok(()) } else { self.refuse_forgotten_orders().await }
    }

    /// Whether it was created, now or by an earlier run with the same keys; false if it was there.
    async fn create(&self, path: &[&str], key: &str, body: &Value) -> Result<bool, Error> {
        match self.client.post::<Value>(path, key, body).await {
            Ok(_) => Ok(true),
            Err(error) if error.is("already-exists") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The server keeps idempotency keys for a day at least. Where the channel has orders of this
    /// file whose keys are forgotten, a replay would place every order again. The first cart tells:
    /// it is answered as before, or it is a new one, which lapses by itself.
    async fn refuse_forgotten_orders(&self) -> Result<(), Error> {
        let sale = self.plan.events.iter().find_map(|event| match event {
            Event::Sale(sale) => Some(sale),
            _ => None,
        });
        let Some(sale) = sale else { return Ok(()) };
        let channel = &self.places.channel;
        let query = [("channel", channel.as_str()), ("reference", &sale.reference), ("limit", "1")];
        let page: Page<Value> = self.client.get(&["orders"], &query).await?;
        if page.items.is_empty() {
            return Ok(());
        }
        match self.client.post_answer::<Value>(&["carts"], &self.cart_key(sale), &self.cart(sale)).await {
            Ok(answer) if answer.replayed => Ok(()),
            Err(error) if error.is_fatal() => Err(error.into()),
            _ => Err(Error::Forgotten { channel: channel.clone() }),
        }
    }

    pub async fn products(&self) -> Result<(), Error> {
        let items = self.plan.products.iter().map(|product| {
            let price = product.price_pence.map(|amount| json!({"amount": amount, "currency": CURRENCY}));
            let mut body = json!({"sku": product.sku, "name": product.name});
            if let Some(price) = price {
                body["price"] = price;
            }
            (product.sku.clone(), body)
        });
        self.batches("products", &["products", "batch"], Some("already-exists"), items.collect()).await
    }

    /// Opening stock: all units that the sales of the plan take, so that each can be served whatever
    /// has come back by then. Units that will be written off stand aside in quality control, where
    /// no sale can take them.
    pub async fn opening_stock(&self) -> Result<(), Error> {
        let mut items = Vec::new();
        let at = self.plan.begins_at.map(time);
        for product in &self.plan.products {
            let mut put = |warehouse: usize, units: i64, condition: &str| {
                let (sku, warehouse) = (&product.sku, &self.places.warehouses[warehouse]);
                let body = json!({
                    "sku": sku, "warehouse": warehouse, "change": units, "reason": "opening_stock",
                    "condition": condition, "effective_at": at,
                });
                items.push((format!("opening stock of {sku} in {warehouse}"), body));
            };
            let warehouses = self.places.warehouses.len();
            for (warehouse, units) in product.spread(product.sold, warehouses).into_iter().enumerate() {
                if units > 0 {
                    put(warehouse, units, "good");
                }
            }
            if product.written_off > 0 {
                put(product.home(warehouses), product.written_off, "quality_control");
            }
        }
        self.batches("opening-stock", &["stock", "adjustments", "batch"], None, items).await
    }

    async fn batches(
        &self,
        step: &str,
        path: &[&str],
        allowed: Option<&str>,
        items: Vec<(String, Value)>,
    ) -> Result<(), Error> {
        let send = |chunk: &'_ [(String, Value)]| {
            let body = json!({"items": chunk.iter().map(|(_, item)| item).collect::<Vec<_>>()});
            let subjects: Vec<String> = chunk.iter().map(|(subject, _)| subject.clone()).collect();
            async move {
                match self.client.post::<Batch>(path, &self.keys.content(step, &body), &body).await {
                    Err(error) => self.note(step, error),
                    Ok(batch) => {
                        if batch.results.len() != subjects.len() {
                            let counts = format!("{} results for {} items", batch.results.len(), subjects.len());
                            self.fail(step, counts);
                        }
                        for (subject, result) in subjects.into_iter().zip(&batch.results) {
                            if let Some(problem) = result.refusal(allowed) {
                                self.fail(subject, problem);
                            }
                        }
                        Ok(())
                    }
                }
            }
        };
        stream::iter(items.chunks(BATCH).map(send)).buffer_unordered(BATCHES_AT_ONCE).try_collect().await
    }
}
