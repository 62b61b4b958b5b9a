//! Scenario 3: large orders that name the same products, each in an order of its own.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Run;
use crate::audit::{Tail, audit};
use crate::client::Client;
use crate::journal::{CANCELLED, Journal, PLACED};
use crate::report::{Result, Verdict, spread};
use crate::stage::Stage;

const CLIENTS: u64 = 32;
const PRODUCTS: usize = 40;
const LINES: usize = 20;
/// More than anybody can buy in the time.
const STOCK: i64 = 1_000_000;

pub async fn play(run: Run) -> Result<Verdict> {
    let mut stage = Stage::new().await?;
    let skus: Vec<String> = (0..PRODUCTS).map(|n| format!("P-{n:02}")).collect();
    stage.stock(skus.iter().map(|sku| (sku.clone(), STOCK)).collect()).await?;
    let (client, journal) = (stage.client()?, Journal::default());
    let tail = Tail::start(&stage.client()?);
    let until = Instant::now() + Duration::from_secs(run.scaled(60, 8));
    let mut buying = JoinSet::new();
    for number in 0..CLIENTS {
        let (client, journal, skus) = (client.clone(), journal.clone(), skus.clone());
        let rng = StdRng::seed_from_u64(run.seed.wrapping_add(number));
        buying.spawn(buy(client, journal, skus, number, rng, until));
    }
    while let Some(done) = buying.join_next().await {
        done??;
    }
    let (tally, mut verdict) = (&client.tally, Verdict::default());
    verdict.note("requests answered", tally.count(|it| &it.answered));
    verdict.note("latency", spread(tally.latencies()));
    verdict.exactly("503", tally.count(|it| &it.unavailable), 0);
    verdict.none("other 5xx, and answers that are never right", &tally.wrong());
    audit(&client, &journal, tail, &mut verdict).await?;
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

async fn buy(
    client: Client,
    journal: Journal,
    skus: Vec<String>,
    number: u64,
    mut rng: StdRng,
    until: Instant,
) -> Result<()> {
    let mut count = 0;
    while Instant::now() < until {
        count += 1;
        let mut chosen: Vec<&String> = skus.sample(&mut rng, LINES).collect();
        chosen.shuffle(&mut rng);
        let lines: Vec<Value> =
            chosen.iter().map(|sku| json!({"sku": sku, "quantity": rng.random_range(1..=3)})).collect();
        let key = format!("buyer-{number}-{count}");
        let answer = client.insist("POST", "/v1/orders", Some(&key), Some(&json!({"lines": lines}))).await?;
        let order = answer.id();
        answer.expect(201)?;
        journal.order(&order, PLACED);
        if rng.random_bool(0.3) {
            let path = format!("/v1/orders/{order}/cancel");
            client.insist("POST", &path, Some(&format!("{key}-cancel")), Some(&json!({}))).await?.expect(200)?;
            journal.order(&order, CANCELLED);
        }
    }
    Ok(())
}
