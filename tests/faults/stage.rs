//! Two servers on one Postgres, and what is done to them.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Tally};
use crate::postgres::{Postgres, free_port};
use crate::report::{Result, Verdict};
use crate::server::{Process, command, place, signal};

pub const KEY: &str = "the-key-of-the-harness-which-is-long-enough";

/// How long anything may take that has no bar of its own.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The warehouse that everything is in.
pub const WAREHOUSE: &str = "MAIN";

/// Dropped in this order: servers, Postgres, files.
pub struct Stage {
    pub servers: Vec<Node>,
    pub postgres: Postgres,
    home: TempDir,
}

impl Stage {
    /// Two servers as they come.
    pub async fn new() -> Result<Self> {
        let home = place();
        let postgres = Postgres::create(home.path()).await?;
        let nodes = [Node::new(&postgres)?, Node::new(&postgres)?];
        Self::of(home, postgres, nodes.into()).await
    }

    /// These servers, started and ready, on a Postgres below `home`.
    pub async fn of(home: TempDir, postgres: Postgres, servers: Vec<Node>) -> Result<Self> {
        let mut stage = Self { servers, postgres, home };
        for n in 0..stage.servers.len() {
            stage.start(n)?;
        }
        for node in &stage.servers {
            node.until_ready(PATIENCE).await?;
        }
        Ok(stage)
    }

    /// Starts a server; it is not ready yet.
    pub fn start(&mut self, n: usize) -> Result<()> {
        self.servers[n].start(self.home.path())
    }

    /// How many servers ended on their own account.
    pub fn ended(&mut self) -> usize {
        self.servers.iter_mut().filter_map(|node| node.has_ended().then_some(())).count()
    }

    /// A client of all servers.
    pub fn client(&self) -> Result<Client> {
        Client::new(self.servers.iter().map(Node::url).collect(), KEY, Tally::default())
    }

    /// The warehouse, and products with this much stock each.
    pub async fn stock(&self, products: Vec<(String, i64)>) -> Result<()> {
        let client = self.client()?;
        client.insist("POST", "/v1/warehouses", None, Some(&json!({"code": WAREHOUSE, "name": "Main"}))).await?;
        for (sku, quantity) in products {
            client.insist("POST", "/v1/products", None, Some(&json!({"sku": sku, "name": sku}))).await?.expect(201)?;
            let body = json!({"sku": sku, "warehouse": WAREHOUSE, "change": quantity, "reason": "received"});
            client.insist("POST", "/v1/stock/adjustments", None, Some(&body)).await?.expect(201)?;
        }
        Ok(())
    }

    /// The self-check, as a figure: `stockhold doctor` beside the servers.
    pub async fn doctor(&self, verdict: &mut Verdict) -> Result<()> {
        let mut doctor = command(self.home.path());
        doctor.args(["doctor", "--json", "--database-url", &self.postgres.url()]);
        examine(doctor, verdict).await
    }

    /// How many deadlocks there were; this stops the servers.
    pub async fn deadlocks(&mut self, verdict: &mut Verdict) -> Result<()> {
        for node in &mut self.servers {
            node.terminate().await?;
        }
        verdict.exactly("deadlocks", self.postgres.deadlocks().await?, 0);
        Ok(())
    }
}

pub async fn examine(doctor: Command, verdict: &mut Verdict) -> Result<()> {
    let output = tokio::process::Command::from(doctor).output().await?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("doctor: {}", String::from_utf8_lossy(&output.stderr)))?;
    let differences = report["differences"].as_array().ok_or("doctor tells the differences")?;
    let differences: Vec<String> = differences.iter().map(Value::to_string).collect();
    verdict.none("self-check: differences", &differences);
    Ok(())
}

/// A server process at an address that stays the same however often it is started.
pub struct Node {
    port: u16,
    flags: Vec<String>,
    variables: Vec<(&'static str, String)>,
    process: Option<Process>,
}

impl Node {
    pub fn new(postgres: &Postgres) -> Result<Self> {
        Ok(Self::with(["--database-url".to_owned(), postgres.url()].into(), free_port()?))
    }

    /// One with a private Postgres.
    pub fn private(data_dir: &Path) -> Result<Self> {
        Ok(Self::with(["--data-dir".to_owned(), data_dir.display().to_string()].into(), free_port()?))
    }

    fn with(flags: Vec<String>, port: u16) -> Self {
        Self { port, flags, variables: Vec::new(), process: None }
    }

    /// The same with a variable of the environment.
    pub fn setting(mut self, name: &'static str, value: impl ToString) -> Self {
        self.set(name, value);
        self
    }

    /// From its next start on.
    pub fn set(&mut self, name: &'static str, value: impl ToString) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_string()));
    }

    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn start(&mut self, home: &Path) -> Result<()> {
        let mut command = command(home);
        command.args(&self.flags).args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        command.env("STOCKHOLD_ADMIN_KEY", KEY).env("STOCKHOLD_LOG", "warn,stockhold=info");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(command, home));
        Ok(())
    }

    /// SIGKILL, and nothing tidied up.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM, and how long it took to go.
    pub async fn terminate(&mut self) -> Result<Duration> {
        let mut process = self.process.take().ok_or("the server runs")?;
        let begun = Instant::now();
        signal(process.pid(), Signal::TERM);
        loop {
            if let Some(status) = process.has_ended() {
                if !status.success() {
                    return Err(format!("the server ended badly ({status}): {}", process.said()).into());
                }
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > PATIENCE {
                return Err("the server does not stop".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether it ended on its own account.
    pub fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| process.has_ended().is_some())
    }

    /// What it logged since it was last started.
    pub fn said(&self) -> String {
        self.process.as_ref().map(Process::said).unwrap_or_default()
    }

    pub fn pid(&self) -> Result<i32> {
        Ok(self.process.as_ref().ok_or("the server runs")?.pid())
    }

    pub async fn is_ready(&self) -> bool {
        let probe = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
        let Ok(probe) = probe else { return false };
        probe.get(format!("{}/readyz", self.url())).send().await.is_ok_and(|answer| answer.status() == 200)
    }

    /// Waits until it is ready; how long that took.
    pub async fn until_ready(&self, patience: Duration) -> Result<Duration> {
        let begun = Instant::now();
        while !self.is_ready().await {
            if begun.elapsed() > patience {
                return Err(format!("not ready within {patience:?}: {}", self.said()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(begun.elapsed())
    }
}
