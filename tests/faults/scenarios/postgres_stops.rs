//! Scenario 2: Postgres stops as by a loss of power, stays away for a while, and comes back.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::Run;
use crate::client::{Client, Try};
use crate::race::{Race, SKU};
use crate::report::{Result, Verdict, seconds, spread};
use crate::stage::{PATIENCE, Stage};

/// The longest that the servers may take to be ready after Postgres is.
const READY_AGAIN: Duration = Duration::from_secs(10);

pub async fn play(run: Run) -> Result<Verdict> {
    let mut stage = Stage::new().await?;
    let (stops, between) = run.scaled((5, 8), (2, 3));
    let away = Duration::from_secs(run.scaled(4, 2));
    // One more stretch of work, after the last.
    let until = Instant::now() + (Duration::from_secs(between) + away) * stops + Duration::from_secs(between);
    let race = Race::start(run, &stage, until).await?;
    let (probe, mut back) = (stage.client()?, Vec::new());
    let mut answered = Vec::new();
    for stop in 1..=stops {
        tokio::time::sleep(Duration::from_secs(between)).await;
        stage.postgres.stop_immediately();
        for n in 0..stage.servers.len() {
            answered.append(&mut ask_while_away(&probe.only(n), away / 2).await?);
        }
        stage.postgres.start().await?;
        let begun = Instant::now();
        for node in &stage.servers {
            node.until_ready(PATIENCE).await?;
        }
        back.push(begun.elapsed());
        println!(
            "  … stop {stop}, ready again after {}, {} requests answered",
            seconds(begun.elapsed()),
            race.answered()
        );
    }
    let restarts = stage.ended();
    let mut verdict = Verdict::default();
    verdict.note("stops", stops);
    verdict.within("ready again, the slowest", back.into_iter().max().unwrap_or_default(), READY_AGAIN);
    verdict.exactly("servers that had to be started again", restarts, 0);
    let refusals = probe.tally.refusals();
    verdict.note("asked while away, 503 with Retry-After", refusals.len());
    verdict.note("how long each 503 took", spread(refusals));
    verdict.exactly("asked while away, no answer", probe.tally.count(|it| &it.unanswered), 0);
    verdict.none("asked while away, another answer", &[probe.tally.wrong(), answered].concat());
    race.finish(&stage, &mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

/// Reads, writes and readiness: nobody can know anything now, and must say so. Returns what was answered instead.
async fn ask_while_away(client: &Client, duration: Duration) -> Result<Vec<String>> {
    let (begun, mut wrong) = (Instant::now(), Vec::new());
    let body = json!({"lines": [{"sku": SKU, "quantity": 1}]});
    let level = format!("/v1/stock/{SKU}");
    let calls = [("POST", "/v1/orders", Some(&body)), ("GET", level.as_str(), None), ("GET", "/readyz", None)];
    for (method, path, body) in calls.iter().cycle() {
        if begun.elapsed() >= duration {
            break;
        }
        if let Try::Definite(answer) = client.once(method, path, None, *body).await? {
            wrong.push(format!("{} {}", answer.what, answer.status));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(wrong)
}
