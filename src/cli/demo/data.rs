//! The data of the demo: a small part of the "Online Retail" data set (D. Chen, S. L. Sain, K. Guo,
//! 2012, doi 10.1057/dbm.2012.17, licence CC0), made by `tools/demo-data.py`. People are made up.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Counted up where other requests are made of the same data.
const REQUESTS: &str = "3";
const PRODUCTS: &str = include_str!("products.csv");
const STOCK: &str = include_str!("stock.csv");
const CUSTOMERS: &str = include_str!("customers.csv");
const ORDERS: &str = include_str!("orders.csv");
const RETURNS: &str = include_str!("returns.csv");
const TRANSFERS: &str = include_str!("transfers.csv");
const CONDITIONS: &str = include_str!("conditions.csv");
const CARTS: &str = include_str!("carts.csv");

#[derive(Debug, Deserialize)]
pub struct Product {
    pub sku: String,
    pub name: String,
    pub category: String,
    pub price_pence: i64,
    pub barcode: String,
    /// Units in a case.
    pub pack: Option<i64>,
    /// `key=value` pairs, with `;` between.
    attributes: String,
    /// SKUs, with spaces between.
    substitutes: String,
    pub backorder_limit: Option<i64>,
    pub preorder_limit: Option<i64>,
}

impl Product {
    pub fn attributes(&self) -> BTreeMap<&str, Value> {
        let pairs = self.attributes.split(';').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key, value.parse::<i64>().map_or_else(|_| json!(value), |n| json!(n)))).collect()
    }

    pub fn substitutes(&self) -> Vec<&str> {
        self.substitutes.split_whitespace().collect()
    }
}

#[derive(Debug, Deserialize)]
pub struct Stock {
    pub sku: String,
    pub warehouse: String,
    pub opening: i64,
    /// A later delivery.
    pub delivered: i64,
    pub reorder_point: i64,
    pub safety_stock: i64,
}

#[derive(Debug, Deserialize)]
pub struct Customer {
    pub reference: String,
    pub name: String,
    pub email: String,
    pub city: String,
    pub postal_code: String,
    pub country: String,
    pub latitude: f64,
    pub longitude: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Open,
    Shipped,
    Cancelled,
}

#[derive(Debug, Deserialize)]
pub struct Order {
    pub reference: String,
    pub channel: String,
    pub customer: String,
    pub minutes_ago: i64,
    pub fate: Fate,
    pub shipped_minutes_ago: i64,
    pub delivered_minutes_ago: Option<i64>,
    /// `sku:quantity` pairs, with spaces between.
    lines: String,
}

impl Order {
    pub fn lines(&self) -> impl Iterator<Item = (&str, i64)> {
        self.lines.split_whitespace().filter_map(|line| {
            let (sku, quantity) = line.split_once(':')?;
            Some((sku, quantity.parse().ok()?))
        })
    }
}

#[derive(Debug, Deserialize)]
pub struct Return {
    pub order: String,
    pub sku: String,
    pub quantity: i64,
    pub disposition: String,
    pub reason: String,
    pub minutes_ago: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    Draft,
    InTransit,
    PartlyReceived,
}

#[derive(Debug, Deserialize)]
pub struct TransferLine {
    pub transfer: String,
    pub from: String,
    pub to: String,
    pub state: TransferState,
    pub sku: String,
    pub quantity: i64,
}

#[derive(Debug, Deserialize)]
pub struct Condition {
    pub sku: String,
    pub warehouse: String,
    pub quantity: i64,
    pub condition: String,
    pub note: String,
}

#[derive(Debug, Deserialize)]
pub struct CartLine {
    pub owner: String,
    pub ttl_seconds: i64,
    pub sku: String,
    pub quantity: i64,
}

#[derive(Debug)]
pub struct Data {
    pub products: Vec<Product>,
    pub stock: Vec<Stock>,
    pub customers: HashMap<String, Customer>,
    pub orders: Vec<Order>,
    pub returns: Vec<Return>,
    pub transfers: Vec<TransferLine>,
    pub conditions: Vec<Condition>,
    pub carts: Vec<CartLine>,
}

impl Data {
    pub fn read() -> Result<Self, csv::Error> {
        let customers: Vec<Customer> = rows(CUSTOMERS)?;
        Ok(Self {
            products: rows(PRODUCTS)?,
            stock: rows(STOCK)?,
            customers: customers.into_iter().map(|customer| (customer.reference.clone(), customer)).collect(),
            orders: rows(ORDERS)?,
            returns: rows(RETURNS)?,
            transfers: rows(TRANSFERS)?,
            conditions: rows(CONDITIONS)?,
            carts: rows(CARTS)?,
        })
    }
}

impl Data {
    /// A product of which nothing is left when all is ordered, and that may not be backordered.
    pub fn sold_out(&self) -> Option<&str> {
        let left = self.left_of(self.stock.iter());
        let is_out =
            |product: &&Product| product.backorder_limit.is_none() && left.get(product.sku.as_str()) == Some(&0);
        self.products.iter().find(is_out).map(|product| product.sku.as_str())
    }

    /// Products of which a warehouse has some left even if all that is ordered left from there, those with the most first.
    pub fn plentiful(&self, warehouse: &str) -> Vec<&str> {
        let left = self.left_of(self.stock.iter().filter(|row| row.warehouse == warehouse));
        let mut plenty: Vec<(&str, i64)> = left.into_iter().filter(|(_, left)| *left > 0).collect();
        plenty.sort_by_key(|(sku, left)| (-left, *sku));
        plenty.into_iter().map(|(sku, _)| sku).collect()
    }

    /// What is left of such stock when all that is ordered and not cancelled is taken from it.
    fn left_of<'a>(&'a self, stock: impl Iterator<Item = &'a Stock>) -> HashMap<&'a str, i64> {
        let mut left: HashMap<&str, i64> = HashMap::new();
        for row in stock {
            *left.entry(&row.sku).or_default() += row.opening + row.delivered;
        }
        let wanted = self.orders.iter().filter(|order| order.fate != Fate::Cancelled).flat_map(Order::lines);
        for (sku, quantity) in wanted {
            *left.entry(sku).or_default() -= quantity;
        }
        left
    }

    pub fn price_pence(&self, sku: &str) -> i64 {
        self.products.iter().find(|product| product.sku == sku).map_or(0, |product| product.price_pence)
    }
}

/// Tells one edition of the data from another, as the requests differ.
pub fn edition() -> String {
    let mut hash = Sha256::new_with_prefix(REQUESTS);
    for text in [PRODUCTS, STOCK, CUSTOMERS, ORDERS, RETURNS, TRANSFERS, CONDITIONS, CARTS] {
        hash.update(text);
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn rows<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, csv::Error> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn check_digit_is_right(barcode: &str) -> bool {
        let weighted = barcode.bytes().rev().enumerate().map(|(at, b)| u32::from(b - b'0') * [1, 3][at % 2]);
        barcode.len() == 13 && weighted.sum::<u32>() % 10 == 0
    }

    #[test]
    fn products_are_whole() {
        let data = Data::read().unwrap();
        assert_eq!(data.products.len(), 300);
        let skus: HashSet<_> = data.products.iter().map(|product| product.sku.as_str()).collect();
        let barcodes: HashSet<_> = data.products.iter().map(|product| product.barcode.as_str()).collect();
        assert_eq!((skus.len(), barcodes.len()), (300, 300));
        for product in &data.products {
            assert!(check_digit_is_right(&product.barcode), "{product:?}");
            assert!(product.price_pence > 0 && !product.name.is_empty());
            assert!(product.substitutes().iter().all(|sku| skus.contains(sku) && *sku != product.sku));
        }
        assert!(data.products.iter().any(|product| product.preorder_limit.is_some()));
        assert!(data.products.iter().any(|product| product.backorder_limit.is_some()));
    }

    #[test]
    fn orders_name_known_products_and_people_and_stock_covers_them() {
        let data = Data::read().unwrap();
        let mut stock: HashMap<&str, i64> = HashMap::new();
        for row in &data.stock {
            *stock.entry(&row.sku).or_default() += row.opening + row.delivered;
        }
        for product in &data.products {
            let limit = product.backorder_limit.unwrap_or(0) + product.preorder_limit.unwrap_or(0);
            *stock.entry(&product.sku).or_default() += limit;
        }
        for order in &data.orders {
            assert!(data.customers.contains_key(&order.customer), "{order:?}");
            assert!(order.minutes_ago > order.shipped_minutes_ago && order.shipped_minutes_ago > 0, "{order:?}");
            assert!(order.lines().count() > 0);
            for (sku, quantity) in order.lines() {
                *stock.get_mut(sku).unwrap() -= quantity;
            }
        }
        assert!(stock.values().all(|left| *left >= 0));
        assert!(stock.values().filter(|left| **left == 0).count() >= 5, "some products are out of stock");
    }

    #[test]
    fn something_is_sold_out() {
        let data = Data::read().unwrap();
        let sku = data.sold_out().unwrap();
        assert!(data.price_pence(sku) > 0);
    }

    #[test]
    fn some_things_are_there_in_plenty() {
        let data = Data::read().unwrap();
        let plenty = data.plentiful("MAN");
        assert!(plenty.len() >= 4);
        let left = data.left_of(data.stock.iter().filter(|row| row.warehouse == "MAN"));
        assert!(plenty[..4].iter().all(|sku| left[sku] >= 20), "{left:?}");
        assert!(!plenty.contains(&data.sold_out().unwrap()));
    }

    #[test]
    fn returns_are_of_shipped_orders() {
        let data = Data::read().unwrap();
        for back in &data.returns {
            let order = data.orders.iter().find(|order| order.reference == back.order).unwrap();
            assert_eq!(order.fate, Fate::Shipped);
            assert!(order.delivered_minutes_ago.unwrap() > back.minutes_ago && back.minutes_ago > 0);
            assert!(order.lines().any(|(sku, quantity)| sku == back.sku && quantity >= back.quantity));
        }
    }
}
