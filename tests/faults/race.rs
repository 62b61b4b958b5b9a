//! Clients that race for the last units of one product, and give back enough that there is work all the time.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Run;
use crate::audit::{Tail, audit, watch};
use crate::client::Client;
use crate::journal::{CANCELLED, Journal, PLACED, SHIPPED};
use crate::report::{Result, Verdict, spread};
use crate::stage::{PATIENCE, Stage, WAREHOUSE};

pub const SKU: &str = "LAST-ONES";
pub const UNITS: i64 = 500;
const CLIENTS: u64 = 64;
const TTL_SECONDS: i64 = 2;

/// A race under way.
pub struct Race {
    client: Client,
    journal: Journal,
    tail: Tail,
    watched: tokio::task::JoinHandle<Result<Vec<String>>>,
    racing: JoinSet<Result<()>>,
}

impl Race {
    /// Everybody starts at once, and begins nothing new after `until`.
    pub async fn start(run: Run, stage: &Stage, until: Instant) -> Result<Self> {
        stage.stock(vec![(SKU.to_owned(), UNITS)]).await?;
        let (client, journal) = (stage.client()?, Journal::default());
        let mut racing = JoinSet::new();
        for number in 0..CLIENTS {
            let rng = StdRng::seed_from_u64(run.seed.wrapping_add(number));
            let mut shopper = Shopper { client: client.clone(), journal: journal.clone(), number, steps: 0, rng };
            racing.spawn(async move {
                while Instant::now() < until {
                    shopper.turn().await?;
                }
                Ok(())
            });
        }
        // They look with clients of their own: the figures are the shoppers'.
        let (tail, watched) = (Tail::start(&stage.client()?), watch(&stage.client()?, SKU, until));
        Ok(Self { client, journal, tail, watched, racing })
    }

    /// How many requests got a definite answer so far.
    pub fn answered(&self) -> u64 {
        self.client.tally.count(|it| &it.answered)
    }

    /// Waits for the last answers, sells what is left, and holds the journal against the server.
    pub async fn finish(mut self, stage: &Stage, verdict: &mut Verdict) -> Result<()> {
        while let Some(done) = self.racing.join_next().await {
            done??;
        }
        let oversold = (&mut self.watched).await??;
        self.until_nothing_is_reserved().await?;
        let sold_out = self.sell_the_rest().await?;
        let stock = self.client.get(&format!("/v1/stock/{SKU}")).await?;
        let of = |name: &str| stock[name].as_i64().unwrap_or(i64::MIN);

        let tally = &self.client.tally;
        verdict.note("requests answered", tally.count(|it| &it.answered));
        verdict.note("tries without an answer", tally.count(|it| &it.unanswered));
        verdict.note("503 with Retry-After", tally.count(|it| &it.unavailable));
        verdict.note("answers given again", tally.count(|it| &it.replayed));
        verdict.note("latency", spread(tally.latencies()));
        verdict.none("wrong answers", &tally.wrong());
        verdict.none("moments in which it was oversold", &oversold);
        verdict.exactly("units sold at the end, of those on hand", sold_out, of("on_hand"));
        verdict.exactly("units stranded", of("on_hand") - of("allocated"), 0);
        audit(&self.client, &self.journal, self.tail, verdict).await?;
        stage.doctor(verdict).await
    }

    /// The last holds expire, and the sweeper says so.
    async fn until_nothing_is_reserved(&self) -> Result<()> {
        let expired = self.journal.told().reservations.values().filter(|status| **status == "expired").count();
        let begun = Instant::now();
        loop {
            let active = self.client.get("/v1/reservations?status=active&limit=1").await?;
            if active["items"] == json!([]) && self.client.events("reservation.expired").await? >= expired {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err("holds that were left alone do not expire".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Orders one unit after the other until none is left; returns how many there were.
    async fn sell_the_rest(&self) -> Result<i64> {
        let mut sold = 0;
        for quantity in [50, 1] {
            loop {
                let key = format!("rest-{sold}-{quantity}");
                let body = json!({"lines": [{"sku": SKU, "quantity": quantity}]});
                let answer = self.client.insist("POST", "/v1/orders", Some(&key), Some(&body)).await?;
                if answer.is_refusal("insufficient-stock") {
                    break;
                }
                let id = answer.id();
                answer.expect(201)?;
                self.journal.order(&id, PLACED);
                sold += quantity;
            }
        }
        Ok(sold)
    }
}

struct Shopper {
    client: Client,
    journal: Journal,
    number: u64,
    steps: u64,
    rng: StdRng,
}

impl Shopper {
    /// A POST under a key of its own, until it has a definite answer.
    async fn post(&mut self, path: &str, body: Value) -> Result<crate::client::Answer> {
        self.steps += 1;
        let key = format!("shopper-{}-{}", self.number, self.steps);
        self.client.insist("POST", path, Some(&key), Some(&body)).await
    }

    /// Holds some units, and does with them what shoppers do.
    async fn turn(&mut self) -> Result<()> {
        let quantity = self.rng.random_range(1..=12);
        let body = json!({
            "lines": [{"sku": SKU, "quantity": quantity}], "ttl_seconds": TTL_SECONDS, "owner": format!("shopper-{}", self.number),
        });
        let answer = self.post("/v1/reservations", body).await?;
        if answer.is_refusal("insufficient-stock") || answer.is_refusal("too-many-holds") {
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(5..50))).await;
            return Ok(());
        }
        let id = answer.id();
        answer.expect(201)?;
        // Unless somebody says otherwise.
        self.journal.reservation(&id, "expired");
        match self.rng.random_range(0..100) {
            0..45 => self.buy(&id, quantity).await,
            45..80 => self.release(&id).await,
            _ => Ok(()),
        }
    }

    async fn release(&mut self, id: &str) -> Result<()> {
        let answer = self.client.insist("DELETE", &format!("/v1/reservations/{id}"), None, None).await?;
        if answer.is_refusal("reservation-ended") {
            return Ok(());
        }
        answer.expect(204)?;
        self.journal.reservation(id, "released");
        Ok(())
    }

    /// Orders what was held; then cancels it, or ships it and brings as much in again.
    async fn buy(&mut self, reservation: &str, quantity: i64) -> Result<()> {
        let answer = self.post("/v1/orders", json!({"reservation_id": reservation})).await?;
        if answer.is_refusal("reservation-ended") {
            return Ok(());
        }
        let order = answer.id();
        answer.expect(201)?;
        self.journal.reservation(reservation, "committed");
        self.journal.order(&order, PLACED);
        if self.rng.random_bool(0.6) {
            self.post(&format!("/v1/orders/{order}/cancel"), json!({})).await?.expect(200)?;
            self.journal.order(&order, CANCELLED);
            return Ok(());
        }
        let shipping = self.post(&format!("/v1/orders/{order}/shipments"), json!({"warehouse": WAREHOUSE})).await?;
        self.journal.order(&order, SHIPPED);
        self.journal.movement(shipping.id(), quantity);
        shipping.expect(201)?;
        let note = format!("for {order}");
        let body = json!({"sku": SKU, "warehouse": WAREHOUSE, "change": quantity, "reason": "received", "note": note});
        self.post("/v1/stock/adjustments", body).await?.expect(201)?;
        self.journal.movement(note, quantity);
        Ok(())
    }
}
