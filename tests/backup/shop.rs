//! A small shop to back up, a client that writes to it, and a look at what Postgres has.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row};

use crate::server::Server;

/// What is received before anything else happens.
pub const OPENING: i64 = 1000;

/// A client with a key. Its clones count together.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    base: String,
    key: String,
    sent: Arc<AtomicU64>,
    acknowledged: Arc<AtomicU64>,
}

impl Caller {
    pub fn new(server: &Server, key: &str) -> Self {
        let client = Client::builder().no_proxy().build().expect("a client");
        let base = format!("http://{}", server.address);
        Self { client, base, key: key.to_owned(), sent: Arc::default(), acknowledged: Arc::default() }
    }

    /// The status, the body as it came, and whether it is a stored answer.
    async fn call(&self, method: Method, path: &str, once: &str, body: &Value) -> (u16, String, bool) {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        if !body.is_null() {
            request = request.json(body).header("Idempotency-Key", once);
        }
        let answer = request.send().await.expect("the server answers");
        let replayed = answer.headers().contains_key("idempotency-replayed");
        (answer.status().as_u16(), answer.text().await.expect("a body"), replayed)
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body, _) = self.call(Method::GET, path, "", &Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    pub async fn refused(&self, path: &str) -> Value {
        let (status, body, _) = self.call(Method::GET, path, "", &Value::Null).await;
        assert!((400..500).contains(&status), "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    pub async fn post(&self, path: &str, once: &str, body: &Value) -> (u16, String, bool) {
        self.call(Method::POST, path, once, body).await
    }

    /// A warehouse, and tea in it.
    pub async fn shop(&self) {
        let made = [
            ("/v1/warehouses", json!({"code": "MAIN", "name": "Main"})),
            ("/v1/products", json!({"sku": "TEA", "name": "Tea, \"best\"\tof \\N all\nwith two lines"})),
            (
                "/v1/stock/adjustments",
                json!({"sku": "TEA", "warehouse": "MAIN", "change": OPENING, "reason": "received"}),
            ),
        ];
        for (path, body) in made {
            let (status, answer, _) = self.post(path, path, &body).await;
            assert_eq!(status, 201, "{answer}");
        }
    }

    /// Receives one packet of tea.
    pub async fn receive(&self, once: &str) {
        self.sent.fetch_add(1, Ordering::SeqCst);
        let body = json!({"sku": "TEA", "warehouse": "MAIN", "change": 1, "reason": "received"});
        let (status, answer, _) = self.post("/v1/stock/adjustments", once, &body).await;
        assert_eq!(status, 201, "{answer}");
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }

    /// Packets whose receipt was acknowledged, and asked for.
    pub fn received(&self) -> [i64; 2] {
        [&self.acknowledged, &self.sent]
            .map(|count| i64::try_from(count.load(Ordering::SeqCst)).expect("not that many"))
    }

    /// Everything in the feed after a cursor, and the next cursor. Empty is the beginning.
    pub async fn feed(&self, after: &str) -> (Vec<Value>, String) {
        let (mut items, mut cursor) = (Vec::new(), after.to_owned());
        loop {
            let sign = if cursor.is_empty() { String::new() } else { format!("&after={cursor}") };
            let page = self.get(&format!("/v1/events?limit=200{sign}")).await;
            let found = page["items"].as_array().expect("a list");
            items.extend(found.iter().cloned());
            cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
            if found.is_empty() {
                return (items, cursor);
            }
        }
    }
}

/// A private Postgres while its server runs.
pub struct Postgres {
    options: PgConnectOptions,
    data: String,
    password: String,
}

impl Postgres {
    pub fn of(data: &Path) -> Self {
        let password = std::fs::read_to_string(data.join("postgres-password")).expect("its password").trim().to_owned();
        let run = data.join("run");
        let options = PgConnectOptions::new_without_pgpass().socket(&run).port(5432).username("stockhold");
        let options = options.password(&password).database("stockhold");
        Self { options, data: run.to_str().expect("the path is text").to_owned(), password }
    }

    pub async fn connect(&self, database: &str) -> PgConnection {
        self.options.clone().database(database).connect().await.expect("Postgres is there")
    }

    /// A new database, as somebody with a Postgres of their own would make it; its address.
    pub async fn create(&self, name: &str) -> String {
        let mut conn = self.connect("stockhold").await;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut conn).await.expect("an answer");
        self.url(name)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://stockhold:{}@localhost/{database}?host={}", self.password, self.data)
    }

    /// Many orders at once (`big.sql`).
    pub async fn fill(&self, orders: u32) {
        let mut conn = self.connect("stockhold").await;
        let set = format!("SET big.orders = {orders}");
        sqlx::query(AssertSqlSafe(set)).execute(&mut conn).await.expect("an answer");
        sqlx::raw_sql(include_str!("big.sql")).execute(&mut conn).await.expect("an answer");
    }

    pub async fn size(&self) -> u64 {
        let mut conn = self.connect("stockhold").await;
        let size: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())")
            .fetch_one(&mut conn)
            .await
            .expect("an answer");
        u64::try_from(size).expect("a size")
    }

    /// A digest of each table of a database, but for transaction ids, which belong to one cluster, and for the
    /// times of the migrations.
    pub async fn digests(&self, database: &str) -> BTreeMap<String, String> {
        let mut conn = self.connect(database).await;
        let tables = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut conn).await.expect("an answer");
        let mut digests = BTreeMap::new();
        for table in tables {
            let rows = format!(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(row, '|' ORDER BY row)), '') FROM (SELECT
                 (to_jsonb(t) - ARRAY['xid', 'installed_on', 'execution_time'])::text AS row FROM {table} t) r"
            );
            let digest = sqlx::query(AssertSqlSafe(rows)).fetch_one(&mut conn).await.expect("an answer").get(0);
            digests.insert(table, digest);
        }
        digests
    }
}
