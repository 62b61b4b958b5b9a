//! Scenario 8: one server after the other is restarted in order, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use crate::Run;
use crate::audit::{Tail, audit};
use crate::client::{Client, Tally, Try};
use crate::journal::{Journal, PLACED};
use crate::postgres::Postgres;
use crate::proxy::{PROBE, Proxy};
use crate::report::{Result, Verdict, seconds, spread};
use crate::server::place;
use crate::stage::{KEY, Node, PATIENCE, Stage};

const PRODUCTS: u64 = 50;
/// Several times what the proxy needs to see that a server is not ready.
const DRAIN_DELAY: Duration = Duration::from_millis(1000);
/// The longest that a server may take to go.
const GONE: Duration = Duration::from_secs(10);

pub async fn play(run: Run) -> Result<Verdict> {
    let home = place();
    let postgres = Postgres::create(home.path()).await?;
    let node =
        || -> Result<Node> { Ok(Node::new(&postgres)?.setting("STOCKHOLD_DRAIN_DELAY_MS", DRAIN_DELAY.as_millis())) };
    let servers = vec![node()?, node()?];
    let mut stage = Stage::of(home, postgres, servers).await?;
    stage.stock((0..PRODUCTS).map(|n| (sku(n), 1_000_000)).collect()).await?;
    let proxy = Proxy::start(stage.servers.iter().map(Node::url).collect()).await?;
    until_seen(&proxy, 0).await?;
    until_seen(&proxy, 1).await?;

    let journal = Journal::default();
    let client = Client::new(vec![proxy.url.clone()], KEY, Tally::default())?;
    let tail = Tail::start(&stage.client()?);
    let traffic = Traffic::start(&client, &journal, run.scaled(200, 50));
    let (restarts, mut gone) = (run.scaled(10, 3), Vec::new());
    for restart in 0..restarts {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let n = restart % 2;
        gone.push(stage.servers[n].terminate().await?);
        stage.start(n)?;
        stage.servers[n].until_ready(PATIENCE).await?;
        until_seen(&proxy, n).await?;
        let (gone, sent) = (gone[restart], traffic.sent.load(Ordering::Relaxed));
        println!("  … restart {}, gone after {}, {sent} requests", restart + 1, seconds(gone));
    }
    let (sent, took, failed) = traffic.stop().await?;

    let mut verdict = Verdict::default();
    verdict.note("restarts", restarts);
    verdict.note("requests", sent);
    verdict.note("requests a second", format!("{:.0}", sent as f64 / took.as_secs_f64()));
    verdict.note("latency", spread(client.tally.latencies()));
    verdict.none("failed requests", &failed);
    verdict.none("  of them seen by the proxy", &proxy.failures());
    verdict.within("gone after SIGTERM, the slowest", gone.into_iter().max().unwrap_or_default(), GONE);
    audit(&stage.client()?, &journal, tail, &mut verdict).await?;
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

fn sku(n: u64) -> String {
    format!("ROLLING-{:02}", n % PRODUCTS)
}

async fn until_seen(proxy: &Proxy, n: usize) -> Result<()> {
    let begun = Instant::now();
    while !proxy.sees_ready(n) {
        if begun.elapsed() > PATIENCE {
            return Err("the proxy does not see that the server is ready".into());
        }
        tokio::time::sleep(PROBE).await;
    }
    Ok(())
}

/// Requests at a steady rate, whether or not the ones before were answered. Nobody asks twice: what is not answered
/// has failed.
struct Traffic {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    running: JoinHandle<Result<Vec<String>>>,
    begun: Instant,
}

impl Traffic {
    fn start(client: &Client, journal: &Journal, rate: u32) -> Self {
        let (sent, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counting, stopping) = (sent.clone(), stop.clone());
        let (client, journal) = (client.clone(), journal.clone());
        let running = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
            let mut under_way = JoinSet::new();
            while !stopping.load(Ordering::Relaxed) {
                pace.tick().await;
                let n = counting.fetch_add(1, Ordering::Relaxed);
                under_way.spawn(request(client.clone(), journal.clone(), n));
            }
            let mut failed = Vec::new();
            while let Some(done) = under_way.join_next().await {
                failed.extend(done??);
            }
            Ok(failed)
        });
        Self { sent, stop, running, begun: Instant::now() }
    }

    async fn stop(self) -> Result<(u64, Duration, Vec<String>)> {
        let took = self.begun.elapsed();
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.running.await??;
        Ok((self.sent.load(Ordering::Relaxed), took, failed))
    }
}

/// Half of them reserve or order, half look. Says what went wrong.
async fn request(client: Client, journal: Journal, n: u64) -> Result<Option<String>> {
    let lines = json!({"lines": [{"sku": sku(n), "quantity": 1}]});
    let level = format!("/v1/stock/{}", sku(n));
    let (method, path, body, wanted) = match n % 4 {
        0 => ("POST", "/v1/reservations", Some(&lines), 201),
        1 => ("POST", "/v1/orders", Some(&lines), 201),
        _ => ("GET", level.as_str(), None, 200),
    };
    let answer = match client.once(method, path, None, body).await? {
        Try::Definite(answer) if answer.status == wanted => answer,
        Try::Definite(answer) => return Ok(Some(format!("{}: {}", answer.what, answer.status))),
        Try::Later(told, _) => return Ok(Some(format!("{method} {path}: turned away or not answered: {told}"))),
    };
    match n % 4 {
        0 => journal.reservation(&answer.id(), "active"),
        1 => journal.order(&answer.id(), PLACED),
        _ => {}
    }
    Ok(None)
}
