//! Mails from servers that are killed, to a mail server that is away for a while: everybody who subscribed is told, and who is
//! told twice can see that it is the same mail.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Run;
use crate::client::Client;
use crate::postgres::Postgres;
use crate::report::{Result, Verdict};
use crate::server::place;
use crate::stage::{Node, PATIENCE, Stage};

const PRODUCTS: usize = 10;

/// By address, the ids of the mails that it got.
type Got = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// A mail server, until it is dropped.
struct Post(Child);

impl Post {
    fn start(python: &str, port: u16, got: &Got) -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/notices/smtp.py");
        let mut child = Command::new(python)
            .args(["-B", script, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("it has an output")?).lines();
        if lines.next().transpose()?.as_deref() != Some("listening") {
            return Err("the mail server did not start".into());
        }
        let got = got.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(std::result::Result::ok) {
                let mail: Value = serde_json::from_str(&line).unwrap_or_default();
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let mut got = got.lock().unwrap_or_else(PoisonError::into_inner);
                got.entry(text(&mail["to"][0])).or_default().push(text(&mail["id"]));
            }
        });
        Ok(Self(child))
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The Python that has the mail server. `None` where it cannot be had.
fn python() -> Option<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let made = Command::new(format!("{root}/.ci/venv")).arg(format!("{root}/.ci/notices/requirements.txt")).output();
    let made = made.ok().filter(|made| made.status.success())?;
    Some(format!("{}/bin/python", String::from_utf8_lossy(&made.stdout).trim()))
}

pub async fn play(run: Run) -> Result<Verdict> {
    let Some(python) = python() else {
        return Ok(Verdict::skipped("a mail server is needed, from PyPI (.ci/notices/requirements.txt)"));
    };
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let home = place();
    let postgres = Postgres::create(home.path()).await?;
    let node = || -> Result<Node> {
        let node = Node::new(&postgres)?.setting("STOCKHOLD_SMTP_URL", format!("smtp://127.0.0.1:{port}"));
        let node = node.setting("STOCKHOLD_SMTP_FROM", "Shop <shop@example.org>");
        let node = node.setting("STOCKHOLD_SMTP_TIMEOUT_SECONDS", 2);
        Ok(node.setting("STOCKHOLD_SMTP_RETRY_SECONDS", 1))
    };
    let nodes = vec![node()?, node()?];
    let mut stage = Stage::of(home, postgres, nodes).await?;
    stage.stock((0..PRODUCTS).map(|n| (format!("P-{n}"), 1)).collect()).await?;
    let client = stage.client()?;
    let got = Got::default();
    let mut post = Some(Post::start(&python, port, &got)?);

    let (people, every) = run.scaled((2000, Duration::from_secs(5)), (300, Duration::from_secs(1)));
    let subscribing = tokio::spawn(subscribe(client.clone(), people));
    let patience = Duration::from_secs(run.scaled(1800, 120));
    let most = run.scaled(40, 6);
    let (begun, mut killed, mut kills) = (Instant::now(), Instant::now(), 0);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let told = got.lock().unwrap_or_else(PoisonError::into_inner).len();
        if (subscribing.is_finished() && told >= people) || begun.elapsed() > patience {
            break;
        }
        if killed.elapsed() >= every && kills < most {
            killed = Instant::now();
            let next = kills % stage.servers.len();
            stage.servers[next].kill();
            stage.start(next)?;
            kills += 1;
            // The mail server is there in turns, at last for good.
            post = if post.is_some() && kills < most { None } else { Some(Post::start(&python, port, &got)?) };
            println!("  … kill {kills}, {told} of {people} told");
        }
    }
    subscribing.await??;
    drop(post);
    for node in &stage.servers {
        node.until_ready(PATIENCE).await?;
    }
    let mut verdict = Verdict::default();
    verdict.note("kills", kills);
    verdict.note("until all were told", crate::report::seconds(begun.elapsed()));
    judge(&client, &got, people, &mut verdict).await?;
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

async fn subscribe(client: Client, people: usize) -> Result<()> {
    for n in 0..people {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let sku = format!("P-{}", n % PRODUCTS);
        let body = json!({"email": format!("c{n}@example.com")});
        let path = format!("/v1/products/{sku}/subscriptions");
        client.insist("POST", &path, Some(&format!("s-{n}")), Some(&body)).await?.expect(201)?;
        let body = json!({"sku": sku, "warehouse": "MAIN", "change": 1, "reason": "found"});
        client.insist("POST", "/v1/stock/adjustments", Some(&format!("w-{n}")), Some(&body)).await?.expect(201)?;
    }
    Ok(())
}

/// Who was told against who subscribed.
async fn judge(client: &Client, got: &Got, people: usize, verdict: &mut Verdict) -> Result<()> {
    let got = got.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let lost = (0..people).map(|n| format!("c{n}@example.com")).filter(|address| !got.contains_key(address));
    let lost: Vec<String> = lost.collect();
    let other = got.iter().filter(|(_, ids)| ids.iter().collect::<BTreeSet<_>>().len() > 1);
    let other: Vec<String> = other.map(|(address, ids)| format!("{address}: {ids:?}")).collect();
    verdict.note("mails", got.values().map(Vec::len).sum::<usize>());
    verdict.exactly("told", got.len(), people);
    verdict.none("never told", &lost);
    verdict.none("told by two mails that are not the same", &other);
    let mut notified = 0;
    for n in 0..PRODUCTS {
        let all = client.list(&format!("/v1/products/P-{n}/subscriptions")).await?;
        notified += all.iter().filter(|one| one["status"] == "notified").count();
    }
    verdict.exactly("notified", notified, people);
    let dead = client.get("/v1/jobs?status=dead").await?;
    verdict.exactly("given up", dead["items"].as_array().map_or(0, Vec::len), 0);
    Ok(())
}
