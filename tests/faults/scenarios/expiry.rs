//! Scenario 4: holds that are bought in the moment in which they expire, with the sweeper and without.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use stockhold::platform::clock::Timestamp;
use tokio::task::JoinSet;

use crate::Run;
use crate::audit::{Tail, audit};
use crate::client::Client;
use crate::journal::{Journal, PLACED};
use crate::report::{Result, Verdict, spread};
use crate::stage::{PATIENCE, Stage};

const PRODUCTS: usize = 20;
const TTL_SECONDS: i64 = 2;
/// How far from the expiry an order is sent, at most.
const AROUND: i64 = 50;
/// The longest that an expired unit may be out of reach.
const FREE_AGAIN: Duration = Duration::from_secs(1);

pub async fn play(run: Run) -> Result<Verdict> {
    let mut stage = Stage::new().await?;
    let holds = run.scaled(1000, 120);
    let units = i64::try_from(holds / PRODUCTS)?;
    stage.stock((0..PRODUCTS).map(|n| (sku(n), units)).collect()).await?;
    let mut verdict = Verdict::default();
    let (journal, tail) = (Journal::default(), Tail::start(&stage.client()?));
    at_the_last_moment(run, &stage, &journal, holds, &mut verdict).await?;
    without_sweeper(run, &mut stage, &journal, &mut verdict).await?;
    let client = stage.client()?;
    audit(&client, &journal, tail, &mut verdict).await?;
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

fn sku(n: usize) -> String {
    format!("BRIEF-{:02}", n % PRODUCTS)
}

/// What came of one hold.
struct Outcome {
    committed: bool,
    /// Refused before its time was over, or taken after
    misjudged: Option<String>,
    /// From the expiry until somebody else had ordered the unit
    free_after: Option<Duration>,
}

/// Every unit is held once. Who comes too late gives way to another buyer, so in the end every unit is sold.
async fn at_the_last_moment(
    run: Run,
    stage: &Stage,
    journal: &Journal,
    holds: usize,
    verdict: &mut Verdict,
) -> Result<()> {
    let client = stage.client()?;
    let mut rng = StdRng::seed_from_u64(run.seed);
    let mut hurrying = JoinSet::new();
    // Spread out, so that what is measured is the expiry and not a queue.
    let mut pace = tokio::time::interval(Duration::from_millis(25));
    for n in 0..holds {
        pace.tick().await;
        let offset = TimeDelta::microseconds(rng.random_range(-AROUND * 1000..=AROUND * 1000));
        hurrying.spawn(hurry(client.clone(), journal.clone(), n, offset));
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = hurrying.join_next().await {
        outcomes.push(outcome??);
    }
    let committed = outcomes.iter().filter(|it| it.committed).count();
    let free: Vec<Duration> = outcomes.iter().filter_map(|it| it.free_after).collect();
    let misjudged: Vec<String> = outcomes.into_iter().filter_map(|it| it.misjudged).collect();
    verdict.note("holds", holds);
    verdict.at_least("bought in time", committed, 1);
    verdict.at_least("too late", free.len(), 1);
    verdict.none("refused in time, or taken too late", &misjudged);
    verdict.note("expired units, bought by somebody else after", spread(free.clone()));
    verdict.within("  the slowest", free.into_iter().max().unwrap_or_default(), FREE_AGAIN);
    verdict.none("wrong answers", &client.tally.wrong());
    Ok(())
}

async fn hurry(client: Client, journal: Journal, n: usize, offset: TimeDelta) -> Result<Outcome> {
    let lines = json!([{"sku": sku(n), "quantity": 1}]);
    let body = json!({"lines": lines, "ttl_seconds": TTL_SECONDS});
    let held = client.insist("POST", "/v1/reservations", Some(&format!("hold-{n}")), Some(&body)).await?.expect(201)?;
    let id = held["id"].as_str().unwrap_or_default().to_owned();
    journal.reservation(&id, "expired");
    let expires_at: DateTime<Utc> = held["expires_at"].as_str().unwrap_or_default().parse()?;
    sleep_until(expires_at + offset).await;

    let (sent, body) = (Timestamp::now().0, json!({"reservation_id": id}));
    let answer = client.insist("POST", "/v1/orders", Some(&format!("buy-{n}")), Some(&body)).await?;
    let answered = Timestamp::now().0;
    if answer.status == 201 {
        journal.reservation(&id, "committed");
        journal.order(&answer.id(), PLACED);
        let misjudged = (sent > expires_at).then(|| format!("{id} was sent at {sent}, {expires_at} was its end"));
        return Ok(Outcome { committed: true, misjudged, free_after: None });
    }
    if !answer.is_refusal("reservation-ended") {
        return Err(format!("an order from {id}: {} {}", answer.status, answer.json).into());
    }
    // The API shows milliseconds, so the end may be up to one later than it shows.
    let early = answered < expires_at;
    let misjudged = early.then(|| format!("{id} was refused at {answered}, {expires_at} was its end"));
    for attempt in 0.. {
        let key = format!("instead-{n}-{attempt}");
        let answer = client.insist("POST", "/v1/orders", Some(&key), Some(&json!({"lines": lines}))).await?;
        if answer.status == 201 {
            journal.order(&answer.id(), PLACED);
            break;
        }
        if Timestamp::now().0 > expires_at + TimeDelta::seconds(30) {
            return Err(format!("the unit of {id} is not for sale again").into());
        }
    }
    let free_after = (Timestamp::now().0 - expires_at).to_std().unwrap_or_default();
    Ok(Outcome { committed: false, misjudged, free_after: Some(free_after) })
}

async fn sleep_until(moment: DateTime<Utc>) {
    tokio::time::sleep((moment - Timestamp::now().0).to_std().unwrap_or_default()).await;
}

/// All of a product is held, nobody cleans up, and the moment it expires all of it can be bought.
async fn without_sweeper(run: Run, stage: &mut Stage, journal: &Journal, verdict: &mut Verdict) -> Result<()> {
    set_sweeper(stage, 0).await?;
    let products = run.scaled(20, 5);
    let units = 10;
    stage.stock((0..products).map(|n| (format!("UNSWEPT-{n}"), units)).collect()).await?;
    let client = stage.client()?;
    let mut ends = Vec::new();
    for n in 0..products {
        let lines = json!([{"sku": format!("UNSWEPT-{n}"), "quantity": units}]);
        let body = json!({"lines": lines, "ttl_seconds": TTL_SECONDS});
        let held = client.insist("POST", "/v1/reservations", None, Some(&body)).await?.expect(201)?;
        journal.reservation(held["id"].as_str().unwrap_or_default(), "expired");
        ends.push((lines, held["expires_at"].as_str().unwrap_or_default().parse::<DateTime<Utc>>()?));
    }
    let mut blocked = Vec::new();
    for (lines, expires_at) in ends {
        sleep_until(expires_at + TimeDelta::milliseconds(5)).await;
        let answer = client.insist("POST", "/v1/orders", None, Some(&json!({"lines": lines}))).await?;
        match answer.status {
            201 => journal.order(&answer.id(), PLACED),
            _ => blocked.push(answer.json.to_string()),
        }
    }
    verdict.note("expired while no sweeper ran", products);
    verdict.none("blocked while no sweeper ran", &blocked);
    let announced = client.get("/v1/reservations?status=expired&limit=200").await?;
    verdict.at_least("expired ones that read as expired", announced["items"].as_array().map_or(0, Vec::len), products);
    stage.doctor(verdict).await?;
    set_sweeper(stage, 250).await?;
    until_announced(&client, journal).await
}

async fn set_sweeper(stage: &mut Stage, interval_ms: u64) -> Result<()> {
    for n in 0..stage.servers.len() {
        stage.servers[n].terminate().await?;
        stage.servers[n].set("STOCKHOLD_SWEEP_INTERVAL_MS", interval_ms);
        stage.start(n)?;
        stage.servers[n].until_ready(PATIENCE).await?;
    }
    Ok(())
}

/// The sweeper is back, and has something to say of each that expired without it.
async fn until_announced(client: &Client, journal: &Journal) -> Result<()> {
    let expected = journal.told().reservations.values().filter(|status| **status == "expired").count();
    let begun = Instant::now();
    while client.events("reservation.expired").await? < expected {
        if begun.elapsed() > PATIENCE {
            return Err("expired reservations are not announced".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
