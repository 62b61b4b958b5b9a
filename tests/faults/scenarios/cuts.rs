//! Scenario 6: a proxy cuts connections at random points of requests and answers. Every request is repeated under
//! its key until it is answered, and has one effect; and no connection goes back to its pool inside a transaction.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Run;
use crate::cutter::{Cut, Cutter};
use crate::report::{Result, Verdict};
use crate::stage::{KEY, PATIENCE, Stage, WAREHOUSE};

const SKU: &str = "CUT";
/// Requests under way at a time.
const TOGETHER: usize = 16;

/// Where a request is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// Within the request line and headers, or before them
    Head,
    Body,
    /// All of it is sent, and nothing of the answer came through
    Sent,
    /// Within the answer
    Answer,
}

const POINTS: [Point; 4] = [Point::Head, Point::Body, Point::Sent, Point::Answer];

/// What a client wants to happen once.
struct Wish {
    number: usize,
    path: &'static str,
    body: Value,
}

impl Wish {
    fn new(number: usize) -> Self {
        let lines = json!([{"sku": SKU, "quantity": 1}]);
        let reference = format!("wish-{number}");
        let (path, body) = match number % 3 {
            0 => ("/v1/orders", json!({"lines": lines, "reference": reference})),
            1 => ("/v1/reservations", json!({"lines": lines, "reference": reference, "ttl_seconds": 86_400})),
            _ => (
                "/v1/stock/adjustments",
                json!({"sku": SKU, "warehouse": WAREHOUSE, "change": 1, "reason": "found", "note": reference}),
            ),
        };
        Self { number, path, body }
    }

    /// Head and body as they go over the wire.
    fn bytes(&self) -> (Vec<u8>, Vec<u8>) {
        let body = self.body.to_string().into_bytes();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
             Idempotency-Key: wish-{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.path,
            self.number,
            body.len()
        );
        (head.into_bytes(), body)
    }
}

pub async fn play(run: Run) -> Result<Verdict> {
    let mut stage = Stage::new().await?;
    let wishes = run.scaled(1_000, 100);
    stage.stock(vec![(SKU.to_owned(), i64::try_from(wishes)?)]).await?;
    let client = stage.client()?;
    let made_before = client.list("/v1/stock/movements").await?.len();
    let order =
        client.insist("POST", "/v1/orders", None, Some(&json!({"lines": [{"sku": SKU, "quantity": 1}]}))).await?;
    let cutter = Cutter::start(stage.servers.iter().map(|it| it.address()).collect()).await?;

    let sent = stream::iter(0..wishes).map(async |n| {
        let mut rng = StdRng::seed_from_u64(run.seed.wrapping_add(n as u64));
        let (wish, point) = (Wish::new(n), POINTS[rng.random_range(0..POINTS.len())]);
        send_cut(&cutter, &wish, point, &mut rng).await?;
        // Somebody who reads is cut too: nothing keeps what serves him from being dropped anywhere.
        let read = Cut { request: usize::MAX, answer: rng.random_range(0..400), after: wait(&mut rng) };
        read_cut(&cutter, &order.id(), read).await?;
        let key = format!("wish-{n}");
        let answer = client.insist("POST", wish.path, Some(&key), Some(&wish.body)).await?.expect(201)?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((point, answer))
    });
    let sent: Vec<Result<(Point, Value)>> = sent.buffer_unordered(TOGETHER).collect().await;
    let sent = sent.into_iter().collect::<Result<Vec<_>>>()?;

    let mut verdict = Verdict::default();
    for point in POINTS {
        let count = sent.iter().filter(|(it, _)| *it == point).count();
        verdict.note(&format!("requests cut at: {point:?}"), count);
    }
    verdict.note("connections cut within an answer, reads among them", cutter.answered());
    verdict.note("requests whose answer was given again", client.tally.count(|it| &it.replayed));
    let orders = client.list("/v1/orders").await?.len() - 1;
    let reservations = client.list("/v1/reservations").await?.len();
    let movements = client.list("/v1/stock/movements").await?.len() - made_before;
    verdict.exactly("effects: orders, reservations and movements", orders + reservations + movements, wishes);
    let mut ids: Vec<String> = sent
        .iter()
        .map(|(_, it)| it["movement"]["id"].as_str().or(it["id"].as_str()).unwrap_or_default().to_owned())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    verdict.exactly("answers, each of another effect", ids.len(), wishes);
    verdict.none("wrong answers", &client.tally.wrong());
    verdict.exactly("connections left in a transaction", left_in_transaction(&stage).await?, 0);
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

fn wait(rng: &mut StdRng) -> Duration {
    Duration::from_micros(rng.random_range(0..15_000))
}

/// Sends it, and is cut off at that point.
async fn send_cut(cutter: &Cutter, wish: &Wish, point: Point, rng: &mut StdRng) -> Result<()> {
    let (head, body) = wish.bytes();
    let whole = head.len() + body.len();
    let cut = match point {
        Point::Head => Cut { request: rng.random_range(0..head.len()), answer: 0, after: Duration::ZERO },
        Point::Body => Cut { request: rng.random_range(head.len()..whole), answer: 0, after: Duration::ZERO },
        Point::Sent => Cut { request: whole, answer: 0, after: wait(rng) },
        Point::Answer => Cut { request: whole, answer: rng.random_range(1..200), after: PATIENCE },
    };
    exchange(cutter, [head, body].concat(), cut).await
}

async fn read_cut(cutter: &Cutter, order: &str, cut: Cut) -> Result<()> {
    let head = format!(
        "GET /v1/orders/{order} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    );
    let cut = Cut { request: head.len(), ..cut };
    exchange(cutter, head.into_bytes(), cut).await
}

/// What comes back, if anything, is of no use: the client is to believe that it knows nothing.
async fn exchange(cutter: &Cutter, request: Vec<u8>, cut: Cut) -> Result<()> {
    let mut stream = TcpStream::connect(cutter.expect(cut).await?).await?;
    // The proxy may be gone before all is sent or read.
    let _ = stream.write_all(&request).await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    Ok(())
}

/// Sessions that stand in a transaction though nobody wants anything of the servers any more.
async fn left_in_transaction(stage: &Stage) -> Result<i64> {
    let mut conn = stage.postgres.connect().await?;
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'stockhold' AND state LIKE 'idle in transaction%'
                 AND state_change < clock_timestamp() - interval '2 seconds'";
    // The servers' own workers come and go; who is forgotten stays until Postgres ends the session after a minute.
    let begun = Instant::now();
    let mut most = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        most = most.max(sqlx::query_scalar(sql).fetch_one(&mut conn).await?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(most)
}
