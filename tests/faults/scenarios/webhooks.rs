//! Webhooks to a receiver that fails and hangs, from servers that are killed: everything arrives, in the order of each
//! subject, under ids that stay, and the reference library takes every signature.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Run;
use crate::postgres::Postgres;
use crate::report::{Result, Verdict};
use crate::server::place;
use crate::stage::{Node, PATIENCE, Stage};

const SUBJECTS: usize = 40;

/// A message that was taken: its id, its subject, and which of its subject's it was.
type Taken = (String, String, i64);

struct Receiver {
    rng: Mutex<StdRng>,
    seen: Mutex<Seen>,
    reference: Mutex<Reference>,
    secret: String,
    /// How often it does not take a message; then it does
    patience: usize,
}

#[derive(Default)]
struct Seen {
    refused: BTreeMap<String, usize>,
    messages: usize,
    failed: usize,
    hung: usize,
    taken: Vec<Taken>,
    refused_by_reference: Vec<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    async fn answer(&self, headers: HeaderMap, bytes: Bytes) -> StatusCode {
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        let signed: BTreeMap<&str, String> =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name, text(name))).into();
        let verified = lock(&self.reference).verify(&json!({"secret": self.secret, "headers": signed, "body": body}));
        let lot = lock(&self.rng).random_range(0..100);
        let hangs = {
            let mut seen = lock(&self.seen);
            seen.messages += 1;
            if let Err(why) = verified {
                seen.refused_by_reference.push(format!("{}: {why}", text("webhook-id")));
            }
            let refused = seen.refused.entry(text("webhook-id")).or_default();
            let lot = if *refused < self.patience { lot } else { 100 };
            *refused += usize::from(lot < 40);
            match lot {
                0..30 => {
                    seen.failed += 1;
                    return StatusCode::INTERNAL_SERVER_ERROR;
                }
                30..40 => seen.hung += 1,
                _ => {
                    let event: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
                    let subject = event["subject"].as_str().unwrap_or_default().to_owned();
                    let level = event["data"]["after"]["on_hand"].as_i64().unwrap_or(-1);
                    seen.taken.push((text("webhook-id"), subject, level));
                }
            }
            (30..40).contains(&lot)
        };
        if hangs {
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
        StatusCode::NO_CONTENT
    }
}

/// The reference library, at work beside us. `None` where it cannot be had.
struct Reference(Option<(Child, BufReader<std::process::ChildStdout>)>);

impl Reference {
    fn start() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let made =
            Command::new(format!("{root}/.ci/venv")).arg(format!("{root}/.ci/webhooks/requirements.txt")).output();
        let Some(made) = made.ok().filter(|made| made.status.success()) else { return Self(None) };
        let python = format!("{}/bin/python", String::from_utf8_lossy(&made.stdout).trim());
        let child = Command::new(python)
            .arg(format!("{root}/.ci/webhooks/verify.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.ok().and_then(|mut child| {
            let said = BufReader::new(child.stdout.take()?);
            Some((child, said))
        }))
    }

    fn verify(&mut self, message: &Value) -> std::result::Result<(), String> {
        let Some((child, said)) = &mut self.0 else { return Err("there is no reference library".to_owned()) };
        let input = child.stdin.as_mut().ok_or("it takes no more")?;
        writeln!(input, "{message}").map_err(|error| error.to_string())?;
        let mut line = String::new();
        said.read_line(&mut line).map_err(|error| error.to_string())?;
        if line.trim() == "ok" { Ok(()) } else { Err(line.trim().to_owned()) }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub async fn play(run: Run) -> Result<Verdict> {
    let reference = Reference::start();
    if reference.0.is_none() {
        return Ok(Verdict::skipped("the reference library is needed, from PyPI (.ci/webhooks/requirements.txt)"));
    }
    let home = place();
    let postgres = Postgres::create(home.path()).await?;
    let node = || -> Result<Node> {
        let node = Node::new(&postgres)?.setting("STOCKHOLD_WEBHOOKS_ALLOW_NETWORKS", "127.0.0.1");
        let node = node.setting("STOCKHOLD_WEBHOOKS_RETRY_SECONDS", 1);
        Ok(node.setting("STOCKHOLD_WEBHOOKS_TIMEOUT_SECONDS", run.scaled(15, 1)))
    };
    let nodes = vec![node()?, node()?];
    let mut stage = Stage::of(home, postgres, nodes).await?;
    stage.stock((0..SUBJECTS).map(|n| (format!("P-{n}"), 1)).collect()).await?;
    let client = stage.client()?;
    let (receiver, url) = listen(run, reference, &client).await?;

    let (events, every) = run.scaled((2000, Duration::from_secs(5)), (120, Duration::from_secs(4)));
    let writing = tokio::spawn({
        let client = client.clone();
        async move {
            for n in 0..events {
                let body =
                    json!({"sku": format!("P-{}", n % SUBJECTS), "warehouse": "MAIN", "change": 1, "reason": "found"});
                client
                    .insist("POST", "/v1/stock/adjustments", Some(&format!("w-{n}")), Some(&body))
                    .await?
                    .expect(201)?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        }
    });
    let (begun, mut killed, mut kills) = (Instant::now(), Instant::now(), 0);
    let patience = Duration::from_secs(run.scaled(1800, 240));
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let taken: BTreeSet<String> = lock(&receiver.seen).taken.iter().map(|(id, ..)| id.clone()).collect();
        if (writing.is_finished() && taken.len() >= events) || begun.elapsed() > patience {
            break;
        }
        if killed.elapsed() >= every {
            killed = Instant::now();
            let next = kills % stage.servers.len();
            stage.servers[next].kill();
            stage.start(next)?;
            kills += 1;
            println!("  … kill {kills}, {} of {events} taken", taken.len());
        }
    }
    writing.await??;
    for node in &stage.servers {
        node.until_ready(PATIENCE).await?;
    }
    let mut verdict = Verdict::default();
    verdict.note("kills", kills);
    verdict.note("until all were taken", crate::report::seconds(begun.elapsed()));
    judge(&client, &receiver, &url, events, &mut verdict).await?;
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

/// The receiver, and a webhook to it for changes of levels.
async fn listen(run: Run, reference: Reference, client: &crate::client::Client) -> Result<(Arc<Receiver>, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let body = json!({"url": url, "filter": {"types": ["stock.level_changed"]}});
    let made = client.insist("POST", "/v1/webhooks", None, Some(&body)).await?.expect(201)?;
    let receiver = Arc::new(Receiver {
        rng: Mutex::new(StdRng::seed_from_u64(run.seed)),
        seen: Mutex::default(),
        reference: Mutex::new(reference),
        secret: made["secret"].as_str().unwrap_or_default().to_owned(),
        patience: run.scaled(usize::MAX, 3),
    });
    let app = axum::Router::new().fallback({
        let receiver = receiver.clone();
        move |headers: HeaderMap, bytes: Bytes| async move { receiver.answer(headers, bytes).await }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((receiver, made["id"].as_str().unwrap_or_default().to_owned()))
}

/// What arrived against what happened.
async fn judge(
    client: &crate::client::Client,
    receiver: &Receiver,
    webhook: &str,
    events: usize,
    verdict: &mut Verdict,
) -> Result<()> {
    let mut happened = BTreeSet::new();
    let mut after = String::new();
    loop {
        let feed = client.get(&format!("/v1/events?limit=200&type=stock.level_changed{after}")).await?;
        for event in feed["items"].as_array().into_iter().flatten() {
            // The first stock of each product was before the webhook.
            if event["data"]["before"]["on_hand"] != 0 {
                happened.insert(event["id"].as_str().unwrap_or_default().to_owned());
            }
        }
        after = format!("&after={}", feed["next_cursor"].as_str().unwrap_or_default());
        if feed["has_more"] == false {
            break;
        }
    }
    let seen = std::mem::take(&mut *lock(&receiver.seen));
    let (mut first, mut last, mut disordered) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    for (id, subject, level) in &seen.taken {
        // One that was taken twice, for its server died before it could note that, was in order the first time.
        if first.insert(id.clone()) && last.insert(subject.clone(), *level).is_some_and(|before| before >= *level) {
            disordered.push(format!("{id} of {subject}: {level}"));
        }
    }
    let lost: Vec<String> = happened.difference(&first).cloned().collect();
    let unknown: Vec<String> = first.difference(&happened).cloned().collect();
    verdict.exactly("events", happened.len(), events);
    verdict.note("messages", seen.messages);
    verdict.note("answered with 500", seen.failed);
    verdict.note("not answered", seen.hung);
    verdict.note("taken more than once", seen.taken.len() - first.len());
    verdict.none("never taken", &lost);
    verdict.none("taken under an id that no event has", &unknown);
    verdict.none("out of the order of their subject", &disordered);
    verdict.none("signatures that the reference library refuses", &seen.refused_by_reference);
    let begun = Instant::now();
    let pending = format!("/v1/webhooks/{webhook}/deliveries?status=pending");
    while client.get(&pending).await?["items"] != json!([]) && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let delivered = client.get(&format!("/v1/webhooks/{webhook}/deliveries?status=failed")).await?;
    verdict.exactly("given up", delivered["items"].as_array().map_or(0, Vec::len), 0);
    Ok(())
}
