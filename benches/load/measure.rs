//! What comes out of a run, and how load is made: closed (so many clients, each asking again when it has its answer) or
//! open (so many requests a second, come what may; latency counts from the moment at which a request was due, so a
//! server that stalls cannot hide it).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinHandle;

/// Rates are per second, times in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    pub failed: u64,
}

impl Figures {
    /// Microseconds up to a minute, to three digits.
    pub fn recorder() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 60_000_000, 3).expect("sensible bounds")
    }

    pub fn of(rate: f64, latencies: &Histogram<u64>, failed: u64) -> Self {
        let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Self { rate, p50: ms(0.5), p99: ms(0.99), max: latencies.max() as f64 / 1000.0, failed }
    }
}

/// One client: does its `n`th operation, and says whether it was answered as it should be.
pub trait Client: Send + 'static {
    fn operate(&mut self, n: u64) -> impl Future<Output = bool> + Send;
}

/// Every client asks again when it has its answer.
pub async fn closed<C: Client>(clients: Vec<C>, time: Duration) -> Figures {
    let begun = Instant::now();
    let runs = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let (mut latencies, mut failed, mut n) = (Figures::recorder(), 0, 0);
            while begun.elapsed() < time {
                let asked = Instant::now();
                if client.operate(n).await {
                    latencies.saturating_record(micros(asked.elapsed()));
                } else {
                    failed += 1;
                }
                n += 1;
            }
            (latencies, failed)
        })
    });
    gather(begun, runs.collect()).await
}

/// `rate` operations a second by these clients: each takes the next that is due.
pub async fn open<C: Client>(clients: Vec<C>, rate: f64, time: Duration) -> Figures {
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let runs = clients.into_iter().map(|mut client| {
        let next = next.clone();
        tokio::spawn(async move {
            let (mut latencies, mut failed) = (Figures::recorder(), 0);
            loop {
                let n = next.fetch_add(1, Relaxed);
                let due = Duration::from_secs_f64(n as f64 / rate);
                if due >= time {
                    return (latencies, failed);
                }
                tokio::time::sleep_until((begun + due).into()).await;
                if client.operate(n).await {
                    latencies.saturating_record(micros(begun.elapsed().saturating_sub(due)));
                } else {
                    failed += 1;
                }
            }
        })
    });
    gather(begun, runs.collect()).await
}

/// Of all clients together, once they are done.
async fn gather(begun: Instant, runs: Vec<JoinHandle<(Histogram<u64>, u64)>>) -> Figures {
    let (mut all, mut failures) = (Figures::recorder(), 0);
    for run in runs {
        let (latencies, failed) = run.await.expect("clients do not panic");
        all.add(&latencies).expect("the same bounds");
        failures += failed;
    }
    Figures::of(all.len() as f64 / begun.elapsed().as_secs_f64(), &all, failures)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// The middle one; of an even number, the lower.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
