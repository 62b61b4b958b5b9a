//! Scenario 7: no room is left where Postgres writes: for one of one's own, and for the private one.

use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;

use crate::Run;
use crate::audit::{Tail, audit};
use crate::client::{Client, Tally, Try};
use crate::disk::Disk;
use crate::journal::Journal;
use crate::postgres::Postgres;
use crate::race::{Race, SKU};
use crate::report::{Result, Verdict, seconds, spread};
use crate::server::{command, place};
use crate::stage::{KEY, Node, PATIENCE, Stage, WAREHOUSE, examine};

/// The longest that it may take until a write succeeds again.
const WRITES_AGAIN: Duration = Duration::from_secs(20);

pub async fn play(run: Run) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    // Declared before what runs on it, so that it goes last.
    let below = place();
    let disk = match Disk::mount(&below.path().join("disk"), 256) {
        Ok(disk) => disk,
        Err(why) => return Ok(Verdict::skipped(why)),
    };
    own_postgres(run, &disk, &mut verdict).await?;
    drop(disk);
    let disk = Disk::mount(&below.path().join("private"), 512)?;
    private_postgres(run, &disk, &mut verdict).await?;
    Ok(verdict)
}

/// The race goes on while the disk is full, and twice over Postgres wants a new segment of its log.
async fn own_postgres(run: Run, disk: &Disk, verdict: &mut Verdict) -> Result<()> {
    let postgres = Postgres::create(disk.path()).await?;
    let servers = vec![Node::new(&postgres)?, Node::new(&postgres)?];
    let mut stage = Stage::of(place(), postgres, servers).await?;
    let (before, full) = (Duration::from_secs(run.scaled(5, 2)), Duration::from_secs(run.scaled(15, 5)));
    let race = Race::start(run, &stage, Instant::now() + before * 2 + full).await?;
    tokio::time::sleep(before).await;
    disk.fill()?;
    let client = stage.client()?;
    let asking = ask(&client, full);
    let (begun, mut ends) = (Instant::now(), 0);
    while begun.elapsed() < full {
        // It wants room at once, and not when some segment happens to be full.
        let _ = stage.postgres.run("SELECT pg_switch_wal()").await;
        ends += u32::from(stage.postgres.keep_running()?);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let asked = asking.await??;
    disk.free()?;
    let again = until_written(&client, |_| stage.postgres.keep_running()).await?;
    let restarts = stage.ended();
    verdict.note("own Postgres: ended, and started by its service", ends);
    tell(&client, &asked, again, verdict);
    verdict.exactly("servers that had to be started again", restarts, 0);
    println!("  … own Postgres: a write succeeded {} after there was room", seconds(again));
    race.finish(&stage, verdict).await?;
    stage.deadlocks(verdict).await
}

/// The server's own Postgres, with nobody but the server to start it again.
async fn private_postgres(run: Run, disk: &Disk, verdict: &mut Verdict) -> Result<()> {
    let (home, data) = (place(), disk.path().join("data"));
    let mut node = Node::private(&data)?;
    node.start(home.path())?;
    node.until_ready(PATIENCE).await?;
    let client = Client::new(vec![node.url()], KEY, Tally::default())?;
    client.insist("POST", "/v1/warehouses", None, Some(&json!({"code": WAREHOUSE, "name": "Main"}))).await?;
    client.insist("POST", "/v1/products", None, Some(&json!({"sku": SKU, "name": SKU}))).await?.expect(201)?;
    let (journal, tail) = (Journal::default(), Tail::start(&client));
    let full = Duration::from_secs(run.scaled(20, 5));
    let receiving = receive(&client, &journal, Instant::now() + full + Duration::from_secs(2));
    tokio::time::sleep(Duration::from_secs(1)).await;
    disk.fill()?;
    let asking = ask(&client, full);
    let begun = Instant::now();
    while begun.elapsed() < full {
        let _ = switch_segment(&data).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let asked = asking.await??;
    disk.free()?;
    let again = until_written(&client, |_| Ok(false)).await?;
    receiving.await??;
    let ends = node.said().matches("ended unexpectedly").count();
    verdict.note("private Postgres: ended, and started by the server", ends);
    tell(&client, &asked, again, verdict);
    verdict.exactly("servers that had to be started again", usize::from(node.has_ended()), 0);
    println!("  … private Postgres: a write succeeded {} after there was room", seconds(again));
    audit(&client, &journal, tail, verdict).await?;
    let mut doctor = command(home.path());
    doctor.args(["doctor", "--json", "--data-dir"]).arg(&data);
    examine(doctor, verdict).await?;
    node.terminate().await?;
    Ok(())
}

/// What was answered while the disk was full.
#[derive(Default)]
struct Asked {
    writes: usize,
    reads: usize,
    later: Vec<Duration>,
}

/// Writes and reads for so long, and counts what is answered.
fn ask(client: &Client, duration: Duration) -> JoinHandle<Result<Asked>> {
    let client = client.clone();
    tokio::spawn(async move {
        let (begun, mut asked) = (Instant::now(), Asked::default());
        let level = format!("/v1/stock/{SKU}");
        while begun.elapsed() < duration {
            for (method, path, body) in
                [("PATCH", format!("/v1/products/{SKU}"), Some(json!({"name": "Full"}))), ("GET", level.clone(), None)]
            {
                let sent = Instant::now();
                match client.once(method, &path, None, body.as_ref()).await? {
                    Try::Definite(_) if body.is_some() => asked.writes += 1,
                    Try::Definite(_) => asked.reads += 1,
                    Try::Later(..) => asked.later.push(sent.elapsed()),
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(asked)
    })
}

fn tell(client: &Client, asked: &Asked, again: Duration, verdict: &mut Verdict) {
    verdict.note("  while full: reads and writes answered", format!("{} and {}", asked.reads, asked.writes));
    verdict.at_least("  while full: 503 with Retry-After", asked.later.len(), 1);
    verdict.note("  how long each 503 took", spread(asked.later.clone()));
    verdict.none("  while full: other 5xx", &client.tally.wrong());
    verdict.within("  a write succeeds again", again, WRITES_AGAIN);
}

/// Until a write succeeds, with whatever service there is that starts Postgres.
async fn until_written(client: &Client, mut service: impl FnMut(()) -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        service(())?;
        let body = json!({"name": format!("There is room since {:?}", begun.elapsed())});
        if let Try::Definite(answer) = client.once("PATCH", &format!("/v1/products/{SKU}"), None, Some(&body)).await? {
            answer.expect(200)?;
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > PATIENCE * 2 {
            return Err("no write succeeds although there is room".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Somebody brings goods in, again and again.
fn receive(client: &Client, journal: &Journal, until: Instant) -> JoinHandle<Result<()>> {
    let (client, journal) = (client.clone(), journal.clone());
    tokio::spawn(async move {
        let mut count = 0;
        while Instant::now() < until {
            count += 1;
            let note = format!("delivery {count}");
            let body = json!({"sku": SKU, "warehouse": WAREHOUSE, "change": 1, "reason": "received", "note": note});
            let key = format!("delivery-{count}");
            client.insist("POST", "/v1/stock/adjustments", Some(&key), Some(&body)).await?.expect(201)?;
            journal.movement(note, 1);
        }
        Ok(())
    })
}

/// Postgres wants room at once, and not when some segment happens to be full.
async fn switch_segment(data: &Path) -> Result<()> {
    let password = std::fs::read_to_string(data.join("postgres-password"))?;
    let url = format!("postgres://stockhold:{password}@localhost/stockhold?host={}", data.join("run").display());
    let options = PgConnectOptions::from_str(&url)?;
    let mut conn = tokio::time::timeout(Duration::from_secs(2), options.connect()).await??;
    sqlx::raw_sql("SELECT pg_switch_wal()").execute(&mut conn).await?;
    Ok(())
}
