//! What clients do: the scenarios' operations.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::client::Connection;
use crate::measure::Client;

/// Which product, of how many.
#[derive(Clone)]
pub enum Pick {
    Uniform(usize),
    One,
    /// Zipf's law with exponent 1: the cumulated shares
    Zipf(Arc<[f64]>),
}

impl Pick {
    pub fn zipf(products: usize) -> Self {
        let harmonic: f64 = (1..=products).map(|rank| 1.0 / rank as f64).sum();
        let cumulated = (1..=products).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64 / harmonic;
            Some(*sum)
        });
        Self::Zipf(cumulated.collect())
    }

    fn pick(&self, random: &mut SmallRng) -> usize {
        match self {
            Self::Uniform(products) => random.random_range(0..*products),
            Self::One => 0,
            Self::Zipf(cumulated) => {
                let point: f64 = random.random();
                cumulated.partition_point(|sum| *sum < point).min(cumulated.len() - 1)
            }
        }
    }
}

/// What one operation is.
#[derive(Clone)]
pub enum Operation {
    /// Reserve one unit of each of so many products
    Reserve { lines: usize, pick: Pick },
    /// Order from a reservation that was made before
    Order { reservations: Arc<Mutex<Vec<String>>> },
    /// Availability, reservation, order, shipment
    Whole { pick: Pick },
    /// Availability of so many products
    Available { products: usize, of: usize },
    /// A GET of the same address each time
    Get(String),
}

/// Where and as whom.
#[derive(Clone)]
pub struct Place {
    pub at: SocketAddr,
    pub key: String,
    /// Sets the idempotency keys of one run apart from those of another
    pub run: u64,
}

pub struct Shopper {
    place: Place,
    operation: Operation,
    connection: Option<Connection>,
    random: SmallRng,
    number: u64,
}

impl Shopper {
    pub fn crowd(place: &Place, operation: &Operation, many: usize) -> Vec<Self> {
        let shopper = |number: u64| Self {
            place: place.clone(),
            operation: operation.clone(),
            connection: None,
            random: SmallRng::seed_from_u64(place.run << 20 | number),
            number,
        };
        (0..many as u64).map(shopper).collect()
    }

    async fn ask(&mut self, line: &str, key: Option<&str>, body: &str) -> Option<(u16, Vec<u8>)> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(self.place.at).await.ok()?),
        };
        match connection.ask(line, &self.place.key, key, body).await {
            // Bodies are small, and only a few are looked at.
            Ok(answer) => Some((answer.status, answer.body.to_vec())),
            Err(_) => {
                self.connection = None;
                None
            }
        }
    }

    async fn reserve(&mut self, key: &str, lines: usize, pick: &Pick) -> Option<String> {
        let lines: Vec<String> =
            (0..lines).map(|_| format!(r#"{{"sku":"P-{}","quantity":1}}"#, pick.pick(&mut self.random))).collect();
        let body = format!(r#"{{"lines":[{}],"ttl_seconds":3600}}"#, lines.join(","));
        let (status, answer) = self.ask("POST /v1/reservations", Some(key), &body).await?;
        (status == 201).then(|| id_of(&answer))?
    }

    async fn order(&mut self, key: &str, reservation: &str) -> Option<String> {
        let body = format!(r#"{{"reservation_id":"{reservation}"}}"#);
        let (status, answer) = self.ask("POST /v1/orders", Some(key), &body).await?;
        (status == 201).then(|| id_of(&answer))?
    }
}

/// The id, which every answer of ours begins with.
fn id_of(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    text.strip_prefix("{\"id\":\"")?.get(..36).map(str::to_owned)
}

impl Client for Shopper {
    async fn operate(&mut self, n: u64) -> bool {
        let key = format!("{}-{}-{n}", self.place.run, self.number);
        match self.operation.clone() {
            Operation::Reserve { lines, pick } => self.reserve(&key, lines, &pick).await.is_some(),
            Operation::Order { reservations } => {
                let next = reservations.lock().expect("nobody panics with it").pop();
                match next {
                    Some(reservation) => self.order(&key, &reservation).await.is_some(),
                    None => {
                        // More should have been made: it shows as failures.
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                        false
                    }
                }
            }
            Operation::Whole { pick } => {
                let sku = pick.pick(&mut self.random);
                let seen = self.ask(&format!("GET /v1/stock/P-{sku}"), None, "").await;
                let Some(reservation) = self.reserve(&format!("r{key}"), 1, &pick).await else { return false };
                let Some(order) = self.order(&format!("o{key}"), &reservation).await else { return false };
                let ship = format!("POST /v1/orders/{order}/shipments");
                let shipped = self.ask(&ship, Some(&format!("s{key}")), r#"{"warehouse":"MAIN"}"#).await;
                seen.is_some_and(|(status, _)| status == 200) && shipped.is_some_and(|(status, _)| status == 201)
            }
            Operation::Available { products: 1, of } => {
                let sku = self.random.random_range(0..of);
                let answer = self.ask(&format!("GET /v1/stock/P-{sku}"), None, "").await;
                answer.is_some_and(|(status, _)| status == 200)
            }
            Operation::Available { products, of } => {
                let skus: Vec<String> =
                    (0..products).map(|_| format!("\"P-{}\"", self.random.random_range(0..of))).collect();
                let body = format!(r#"{{"skus":[{}]}}"#, skus.join(","));
                let answer = self.ask("POST /v1/stock/query", None, &body).await;
                answer.is_some_and(|(status, _)| status == 200)
            }
            Operation::Get(path) => {
                let answer = self.ask(&format!("GET {path}"), None, "").await;
                answer.is_some_and(|(status, _)| status == 200)
            }
        }
    }
}
