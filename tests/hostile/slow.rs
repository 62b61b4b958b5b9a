//! Two thousand connections that say nothing, or too slowly: all of them are closed within 30 s, and a client that
//! behaves notices nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::client::{Connection, ms, quantile, request};
use crate::{Form, House, runtime};

const EACH: usize = 500;
const BAR: Duration = Duration::from_secs(30);

pub fn run(_: Form) {
    let house = House::open(&[]);
    house.prepare_stock(1);
    let (good, bad, at) = (house.key.clone(), house.another_key(), house.server.address);
    runtime().block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let behaves = tokio::spawn(behave(at, good, stop.clone()));
        let head = |key: &str| {
            format!(
                "POST /v1/products HTTP/1.1\r\nHost: stock\r\nAuthorization: Bearer {key}\r\n\
                 Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{{"
            )
        };
        let kinds = [
            ("silent", String::new(), None),
            ("dripping headers", "GET /v1/products HTTP/1.1\r\nHost: stock\r\nX-Slow: ".to_owned(), Some(b"x")),
            ("dripping bodies", head(&bad), Some(b" ")),
            ("dripping bodies without a key", head("sh_nobody"), Some(b" ")),
        ];
        let mut clients = Vec::new();
        for (name, opening, drip) in kinds {
            for _ in 0..EACH {
                let opening = opening.clone();
                clients.push((
                    name,
                    tokio::spawn(async move {
                        let mut connection = Connection::open(at).await.unwrap();
                        if connection.send(opening.as_bytes()).await.is_err() {
                            return Duration::ZERO;
                        }
                        let drip = drip.map(|drip: &[u8; 1]| drip.as_slice());
                        tokio::time::timeout(2 * BAR, connection.until_closed(drip)).await.unwrap_or(2 * BAR)
                    }),
                ));
            }
        }
        let mut longest = std::collections::BTreeMap::<&str, Duration>::new();
        for (name, client) in clients {
            let closed = client.await.unwrap();
            let longest = longest.entry(name).or_default();
            *longest = closed.max(*longest);
        }
        stop.store(true, Relaxed);
        let (mut latencies, errors) = behaves.await.unwrap();
        latencies.sort();
        for (name, longest) in &longest {
            println!("  {EACH} {name}: the last was closed after {:.1} s", longest.as_secs_f64());
        }
        println!(
            "  meanwhile a good client made {} requests, {} failed, p99 {:.1} ms, slowest {:.1} ms",
            latencies.len(),
            errors.len(),
            ms(quantile(&latencies, 0.99)),
            ms(quantile(&latencies, 1.0))
        );
        assert!(longest.values().all(|longest| *longest < BAR), "closed too late");
        assert!(errors.is_empty(), "the good client saw {errors:?}");
        assert!(latencies.len() > 50, "the good client was kept waiting");
    });
}

/// Reads and writes on one connection, and every now and then on a new one.
async fn behave(at: std::net::SocketAddr, key: String, stop: Arc<AtomicBool>) -> (Vec<Duration>, Vec<String>) {
    let (mut latencies, mut errors) = (Vec::new(), Vec::new());
    let hold = request("POST", "/v1/reservations", &key, r#"{"lines": [{"sku": "P-0", "quantity": 1}]}"#);
    let read = request("GET", "/v1/stock/P-0", &key, "");
    let mut connection = None;
    while !stop.load(Relaxed) {
        let begun = Instant::now();
        let n = latencies.len();
        let outcome = async {
            if n % 10 == 0 || connection.is_none() {
                connection = Some(Connection::open(at).await?);
            }
            let connection = connection.as_mut().expect("made above");
            connection.send(if n % 2 == 0 { &hold } else { &read }).await?;
            connection.answer().await
        };
        match outcome.await {
            Ok(answer) if answer.status < 300 => {}
            Ok(answer) => errors.push(answer.status.to_string()),
            Err(error) => errors.push(error.to_string()),
        }
        latencies.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (latencies, errors)
}
