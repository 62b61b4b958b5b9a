//! The server under load, on a private Postgres of its own: durable, with the server's own tuning.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Connection;
use crate::server::{Server, at_work, command_of, place};

/// The limits on one client that a bench, which is one client, would meet. All else is as it comes.
const RAISED: &[(&str, &str)] = &[
    ("STOCKHOLD_LIMITS_REQUESTS_PER_KEY", "100000"),
    ("STOCKHOLD_LIMITS_CONNECTIONS", "20000"),
    ("STOCKHOLD_LIMITS_CONNECTIONS_PER_ADDRESS", "20000"),
];

pub struct House {
    server: Option<Server>,
    program: PathBuf,
    home: TempDir,
    pub key: String,
}

impl House {
    /// Starts in an empty directory; says how long that took.
    pub fn open(program: PathBuf) -> (Self, Duration) {
        let mut house = Self { server: None, program, home: place(), key: String::new() };
        let took = house.start();
        house.key = house.server().key.clone().expect("the first start prints the key");
        (house, took)
    }

    fn start(&mut self) -> Duration {
        let begun = Instant::now();
        let mut command = command_of(&self.program, self.home.path());
        command.arg("--data-dir").arg(self.data()).args(["--listen", "127.0.0.1:0"]);
        command.env("STOCKHOLD_LOG", "warn,stockhold=info").envs(RAISED.iter().copied());
        self.server = Some(Server::run(command, self.home.path()));
        while !self.server().is_ready() {}
        begun.elapsed()
    }

    /// Stops it, starts it again, and says how long the start took.
    pub fn restart(&mut self) -> Duration {
        if let Some(mut server) = self.server.take() {
            server.process.stop();
        }
        self.start()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    pub fn at(&self) -> SocketAddr {
        self.server().address
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.server().get(path, &self.key);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.server().post(path, &self.key, &body.to_string());
        assert!((200..300).contains(&status), "{path}: {answer}");
        answer
    }

    /// A number of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let text = runtime.block_on(async {
            let mut connection = Connection::open(self.at()).await.ok()?;
            let answer = connection.ask("GET /metrics", &self.key, None, "").await.ok()?;
            String::from_utf8(answer.body.to_vec()).ok()
        });
        let lines = text.as_deref().unwrap_or_default().lines();
        lines.filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).sum()
    }

    /// Resident memory of the server's process, in MiB: now, and at most.
    pub fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server().process.pid()));
        let status = status.unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
        };
        (field("VmRSS"), field("VmHWM"))
    }

    /// A shop of one warehouse with plenty of each product.
    pub fn stock_up(&self, prefix: &str, products: usize) {
        if self.get("/v1/warehouses")["items"].as_array().is_none_or(Vec::is_empty) {
            self.post("/v1/warehouses", &json!({"code": "MAIN", "name": "Main"}));
        }
        let skus: Vec<String> = (0..products).map(|n| format!("{prefix}-{n}")).collect();
        for some in skus.chunks(1000) {
            let items: Vec<Value> = some.iter().map(|sku| json!({"sku": sku, "name": sku})).collect();
            self.post("/v1/products/batch", &json!({ "items": items }));
            let stock = |sku| json!({"sku": sku, "warehouse": "MAIN", "change": 1_000_000_000, "reason": "received"});
            let items: Vec<Value> = some.iter().map(stock).collect();
            self.post("/v1/stock/adjustments/batch", &json!({ "items": items }));
        }
    }

    /// A program of the Postgres that the server runs, pointed at it.
    pub fn postgres_program(&self, name: &str) -> Command {
        let pid = crate::server::postmaster(&self.data());
        let postgres = std::fs::read_link(format!("/proc/{pid}/exe")).expect("Postgres runs");
        let beside = postgres.with_file_name(name);
        let mut command = Command::new(if beside.exists() { beside } else { name.into() });
        let password = std::fs::read_to_string(self.data().join("postgres-password")).unwrap_or_default();
        command.env("PGHOST", self.data().join("run")).env("PGUSER", "stockhold").env("PGPASSWORD", password.trim());
        command
    }

    pub fn psql(&self, database: &str, arguments: &[&str]) -> String {
        let output = self.try_psql(database, arguments);
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    pub fn try_psql(&self, database: &str, arguments: &[&str]) -> Output {
        let mut psql = self.postgres_program("psql");
        psql.args([
            "--quiet",
            "--no-psqlrc",
            "--no-align",
            "--tuples-only",
            "-v",
            "ON_ERROR_STOP=1",
            "--dbname",
            database,
        ]);
        psql.args(arguments).output().expect("psql stands beside initdb")
    }

    pub fn server_process(&self) -> i32 {
        self.server().process.pid()
    }

    pub fn postgres_processes(&self) -> Vec<i32> {
        at_work(&self.data())
    }

    /// The self-check finds nothing.
    pub fn check(&self) {
        let report = self.get("/v1/self-check");
        let differences = report["differences"].as_array().map_or(usize::MAX, Vec::len);
        assert_eq!(differences, 0, "the self-check found differences: {report}");
    }
}
