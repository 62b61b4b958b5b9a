//! A server for a test, and the words in which tests talk to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use stockhold::app::App;
use stockhold::config::Config;
use stockhold::lifecycle::Shutdown;
use stockhold::platform::db::{Application, Db};
use tokio::net::TcpListener;
use tokio::sync::SemaphorePermit;
use tokio::task::JoinHandle;

pub use crate::cluster::ADMIN_KEY;
use crate::cluster::{self, Database};

/// How long anything may take that a test waits for.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A server on a database of its own.
pub struct Server {
    pub url: String,
    pub app: App,
    client: Client,
    shutdown: Shutdown,
    serving: JoinHandle<std::io::Result<()>>,
    database: Arc<Database>,
    _room: SemaphorePermit<'static>,
}

impl Server {
    pub async fn start() -> Self {
        Self::on(Arc::new(Database::create().await), Config::default(), 8).await
    }

    /// One with other settings.
    pub async fn with(config: Config) -> Self {
        Self::on(Arc::new(Database::create().await), config, 8).await
    }

    /// One whose sweeper does nothing: expired reservations are left to those who meet them.
    pub async fn without_sweeper() -> Self {
        let config = Config { sweep_interval_ms: 3_600_000, ..Config::default() };
        Self::on(Arc::new(Database::create().await), config, 8).await
    }

    /// Two servers on one database, as two processes would be.
    pub async fn pair() -> [Self; 2] {
        Self::pair_with(Config::default()).await
    }

    pub async fn pair_with(config: Config) -> [Self; 2] {
        let database = Arc::new(Database::create().await);
        let first = Self::on(database.clone(), config.clone(), 24).await;
        [first, Self::on(database, config, 24).await]
    }

    /// Another one on the same database.
    #[allow(dead_code, reason = "for tests/brokers")]
    pub async fn joined_by(&self, config: Config) -> Self {
        Self::on(self.database.clone(), config, 8).await
    }

    /// Ends in order.
    #[allow(dead_code, reason = "for tests/brokers")]
    pub async fn stop(self) {
        self.shutdown.start();
        self.serving.await.unwrap().expect("the server stops in order");
        self.app.db.close().await;
    }

    async fn on(database: Arc<Database>, config: Config, connections: u32) -> Self {
        let room = cluster::room_for(connections).await;
        stockhold::telemetry::metrics();
        let db = Db::connecting_as(&Application::TakeOn, database.options(), connections);
        let app = App::configured(db, &config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::default();
        let serving = tokio::spawn({
            let (app, shutdown) = (app.clone(), shutdown.clone());
            async move { app.serve(listener, &config, shutdown).await }
        });
        let client = Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        Self { url, app, client, shutdown, serving, database, _room: room }
    }

    /// A request with the admin key; `send` it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(ADMIN_KEY)
    }

    /// A request without a key.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    /// A POST with an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, key: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).header("Idempotency-Key", key).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PUT, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// The whole of a list, page by page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{sign}{cursor}")).await.expect(200);
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { return items };
            cursor = format!("cursor={next}");
        }
    }

    pub async fn warehouse(&self, code: &str) {
        self.post("/v1/warehouses", json!({"code": code, "name": code})).await.expect(201);
    }

    pub async fn product(&self, sku: &str) {
        self.post("/v1/products", json!({"sku": sku, "name": sku})).await.expect(201);
    }

    /// A product that may be promised beyond stock.
    pub async fn backorderable(&self, sku: &str, limit: i64) {
        let body = json!({"sku": sku, "name": sku, "availability": {"backorder_limit": limit}});
        self.post("/v1/products", body).await.expect(201);
    }

    pub async fn stock(&self, sku: &str, warehouse: &str, quantity: i64) {
        let body = json!({"sku": sku, "warehouse": warehouse, "change": quantity, "reason": "received"});
        self.post("/v1/stock/adjustments", body).await.expect(201);
    }

    /// The warehouse MAIN with these products in it.
    pub async fn shop(&self, stock: &[(&str, i64)]) {
        self.warehouse("MAIN").await;
        for (sku, quantity) in stock {
            self.product(sku).await;
            if *quantity > 0 {
                self.stock(sku, "MAIN", *quantity).await;
            }
        }
    }

    /// A channel served by these warehouses, each with a buffer.
    pub async fn channel(&self, code: &str, warehouses: &[(&str, i64)]) {
        let links: Vec<Value> = warehouses.iter().map(|(w, b)| json!({"warehouse": w, "buffer": b})).collect();
        self.post("/v1/channels", json!({"code": code, "name": code, "warehouses": links})).await.expect(201);
    }

    pub async fn reserve(&self, body: Value) -> Value {
        self.post("/v1/reservations", body).await.expect(201)
    }

    /// A reservation of one product.
    pub async fn hold(&self, sku: &str, quantity: i64, ttl_seconds: i64) -> Value {
        self.reserve(json!({"lines": [{"sku": sku, "quantity": quantity}], "ttl_seconds": ttl_seconds})).await
    }

    /// An order of one product.
    pub async fn cart(&self, body: Value) -> Value {
        self.post("/v1/carts", body).await.expect(201)
    }

    pub async fn order(&self, sku: &str, quantity: i64) -> Value {
        self.post("/v1/orders", json!({"lines": [{"sku": sku, "quantity": quantity}]})).await.expect(201)
    }

    pub async fn level(&self, sku: &str, warehouse: &str) -> Value {
        self.get(&format!("/v1/stock/{sku}/levels/{warehouse}")).await.expect(200)
    }

    pub async fn available(&self, sku: &str) -> i64 {
        self.get(&format!("/v1/stock/{sku}")).await.expect(200)["available"].as_i64().unwrap()
    }

    /// All events so far of these types (separated by commas), or all of all types.
    ///
    /// The feed holds back what is not final yet, which any transaction on the same Postgres may delay, so
    /// this waits until it shows as much as was written.
    pub async fn events(&self, types: &str) -> Vec<Value> {
        let written = self.events_written(types).await;
        let filter = if types.is_empty() { String::new() } else { format!("&type={types}") };
        let mut events = Vec::new();
        let mut after = String::new();
        let reading = async {
            loop {
                let feed = self.get(&format!("/v1/events?limit=200{after}{filter}")).await.expect(200);
                let items = feed["items"].as_array().unwrap();
                if items.is_empty() && events.len() >= written {
                    return;
                }
                events.extend(items.iter().cloned());
                after = format!("&after={}", feed["next_cursor"].as_str().unwrap());
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("the feed shows what was written");
        events
    }

    /// How many events of these types the outbox has.
    pub async fn events_written(&self, types: &str) -> usize {
        let mut conn = self.database.options().connect().await.unwrap();
        let sql = "SELECT count(*) FROM events.outbox WHERE $1 = '' OR type = ANY (string_to_array($1, ','))";
        let count: i64 = sqlx::query_scalar(sql).bind(types).fetch_one(&mut conn).await.unwrap();
        usize::try_from(count).unwrap()
    }

    /// Runs SQL behind the server's back, as a superuser.
    pub async fn sql(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let mut conn = self.database.options().connect().await.unwrap();
        Ok(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await?.rows_affected())
    }

    /// What the last of several statements says, line by line.
    pub async fn text(&self, sql: &str) -> String {
        let mut conn = self.database.options().connect().await.unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut conn).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
        rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()
    }

    pub async fn left_in_transaction(&self) -> i64 {
        self.database.left_in_transaction().await
    }

    /// All that is stored, as text.
    pub async fn dump(&self) -> String {
        let mut conn = self.database.options().connect().await.unwrap();
        let sql = "SELECT coalesce(string_agg(query_to_xml(format('SELECT * FROM %I.%I', schemaname, relname), true, false, '')::text, ''), '')
                   FROM pg_stat_user_tables";
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
    }

    /// How many rows each table has: the same before and after a request that must write nothing. Partitions count with
    /// their table. How far followers are is not counted: they move on by themselves.
    pub async fn row_counts(&self) -> BTreeMap<String, i64> {
        let mut conn = self.database.options().connect().await.unwrap();
        let sql = "SELECT schemaname || '.' || relname,
                          (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', schemaname, relname),
                                                               false, true, '')))[1]::text::bigint
                   FROM pg_stat_user_tables s WHERE NOT (SELECT relispartition FROM pg_class WHERE oid = s.relid) AND (schemaname, relname) <> ('events', 'followers')";
        let rows = sqlx::query(sql).fetch_all(&mut conn).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// A job that nobody does; gives its address.
    pub async fn idle_job(&self) -> String {
        let id = "0193a1b2-7c3d-7e4f-8a5b-00000000000a";
        let sql = "INSERT INTO platform.jobs (id, kind, payload, max_attempts) VALUES";
        self.sql(&format!("{sql} ('{id}', 'idle', '{{}}', 1)")).await.unwrap();
        format!("/v1/jobs/{id}")
    }

    /// The books are right. The last line of every test.
    pub async fn assert_clean(&self) {
        let report = self.get("/v1/self-check").await.expect(200);
        assert_eq!(report["differences"], json!([]), "the self-check found differences");
        assert_eq!(report["ok"], true);
    }
}

/// Stops these servers; no transaction on their database may have run into a deadlock.
pub async fn assert_no_deadlocks<const N: usize>(servers: [Server; N]) {
    let mut database = None;
    for server in servers {
        server.shutdown.start();
        server.serving.await.unwrap().expect("the server stops in order");
        server.app.db.close().await;
        database = Some(server.database);
    }
    assert_eq!(database.expect("there is a server").deadlocks().await, 0, "deadlocks");
}

pub async fn send(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let what = format!("{} {}", request.method(), request.url().path());
    let mut response = client.execute(request).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let is_endless = headers.get("content-type").is_some_and(|is| is == "text/event-stream");
    // Of what never ends, the beginning.
    let bytes = if is_endless { response.chunk().await.map(Option::unwrap_or_default) } else { response.bytes().await };
    let bytes = bytes.unwrap_or_else(|error| panic!("{what}: {error:?}")).to_vec();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { what, status, headers, bytes, json }
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub what: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    pub json: Value,
}

impl Answer {
    /// The body, of an answer with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.json);
        self.json
    }

    /// The problem, which must be of this kind and well-formed.
    #[track_caller]
    pub fn refused(self, status: u16, slug: &str) -> Value {
        let problem = &self.json;
        assert_eq!((self.status, problem["type"].as_str()), (status, Some(&*format!("/problems/{slug}"))), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.what);
        assert_eq!(problem["status"], status, "{}", self.what);
        assert_eq!(problem["instance"].as_str(), self.header("x-request-id"), "{}", self.what);
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{}: {problem}", self.what);
        }
        self.json
    }

    /// Refused as invalid, with exactly these faults, as "pointer code".
    #[track_caller]
    pub fn invalid(self, expected: &[&str]) {
        let problem = self.refused(422, "validation");
        let mut found = faults(&problem);
        let mut expected: Vec<String> = expected.iter().map(|fault| (*fault).to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{problem}");
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The faults that a problem lists, as "pointer code".
pub fn faults(problem: &Value) -> Vec<String> {
    let list = problem["errors"].as_array().cloned().unwrap_or_default();
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    list.iter().map(|fault| format!("{} {}", text(fault, "pointer"), text(fault, "code"))).collect()
}

/// The values of one member of each.
pub fn each<'a>(items: &'a [Value], member: &str) -> Vec<&'a Value> {
    items.iter().map(|item| &item[member]).collect()
}

/// Asks again until the answer is yes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| panic!("it never came true that {what}"));
}
