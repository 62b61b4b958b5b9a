//! Three times what the server can do: who is refused hears of it within 100 ms, at least 80 % of the peak is still
//! done, and five seconds later it is as if nothing had been.
//!
//! The load is open: requests come at their moments whether or not the earlier ones are answered, and latency counts
//! from that moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::client::{Connection, ms, quantile, request};
use crate::{Form, House, runtime};

const PRODUCTS: usize = 200;
/// Of a client that asks again when it has its answer, and so finds the peak.
const CLOSED: usize = 64;
/// How often requests are let go that have become due meanwhile.
const TICK: Duration = Duration::from_millis(2);

/// Connections that the client has at most. A request for which there is none waits for one, and its time runs.
const CONNECTIONS: usize = 4096;
/// How often the short form tries, for it runs on whatever machine there is beside whatever else.
const ROUNDS: usize = 5;

struct Bars {
    measure: Duration,
    /// Least part of the peak
    goodput: f64,
    /// p99 of refusals
    shed: Duration,
    /// The client may be late by itself, which is no fault of the server
    forgive_client: bool,
    rounds: usize,
}

pub fn run(form: Form) {
    let bars = if form.long {
        Bars {
            measure: Duration::from_secs(20),
            goodput: 0.8,
            shed: Duration::from_millis(100),
            forgive_client: false,
            rounds: 1,
        }
    } else {
        Bars {
            measure: Duration::from_secs(4),
            goodput: 0.5,
            shed: Duration::from_millis(500),
            forgive_client: true,
            rounds: ROUNDS,
        }
    };
    let house = House::open(&[]);
    house.prepare_stock(PRODUCTS);
    let load = Load::new(house.server.address, &house.key);
    runtime().block_on(async {
        load.closed(bars.measure / 4).await; // caches, plans, connections
        let missed = best_of(bars.rounds, &load, &bars).await;
        assert!(missed.is_empty(), "{}", missed.join("; "));
    });
}

/// The bars that were missed in the last of at most `rounds`, none of which may lose a request. What else the machine
/// does meanwhile can only make a round worse than the server is.
async fn best_of(rounds: usize, load: &Load, bars: &Bars) -> Vec<&'static str> {
    let mut missed = Vec::new();
    for _ in 0..rounds {
        missed = round(load, bars).await;
        if missed.is_empty() {
            break;
        }
        println!("  missed: {}", missed.join("; "));
    }
    missed
}

/// Finds the peak, goes beyond it, and says which bars were missed.
async fn round(load: &Load, bars: &Bars) -> Vec<&'static str> {
    let peak = load.closed(bars.measure).await;
    println!("  peak: {peak:.0} reservations/s from {CLOSED} clients");
    let calm = load.open(peak * 0.3, bars.measure / 4).await;
    println!("  at 30 %: {calm}");
    let over = load.open(peak * 3.0, bars.measure).await;
    println!("  at three times the peak: {over}");
    let kept = over.goodput() / peak;
    println!("  goodput kept: {:.0} % of the peak; p99 of refusals {:.1} ms", kept * 100.0, ms(over.shed_p99()));
    let again = load.recovery(peak * 0.3, calm.good_p99()).await;
    println!("  latency was back after {again} s");

    assert!(over.failures.is_empty(), "requests failed otherwise: {:?}", over.failures);
    let forgiven = if bars.forgive_client { over.late_p99() } else { Duration::ZERO };
    let bars = [
        (!over.shed.is_empty(), "nothing was refused at three times the peak"),
        (over.shed_p99() <= bars.shed + forgiven, "refusals took too long"),
        (kept >= bars.goodput, "goodput fell too low"),
        (again <= 5, "latency did not come back"),
    ];
    bars.into_iter().filter(|(met, _)| !met).map(|(_, missed)| missed).collect()
}

/// What became of the requests, by their latencies.
#[derive(Default)]
struct Outcome {
    good: Vec<Duration>,
    shed: Vec<Duration>,
    /// By how much the client itself was behind
    late: Vec<Duration>,
    /// How many for which reason
    failures: BTreeMap<String, usize>,
    took: Duration,
}

impl Outcome {
    fn note(&mut self, late: Duration, latency: Duration, answer: std::io::Result<(u16, bool)>) {
        self.late.push(late);
        match answer {
            Ok((200..300, _)) => self.good.push(latency),
            Ok((503 | 429, true)) => self.shed.push(latency),
            Ok((status, retry_after)) => {
                let told = if retry_after { "" } else { " without Retry-After" };
                *self.failures.entry(format!("{status}{told}")).or_default() += 1;
            }
            Err(error) => *self.failures.entry(error.to_string()).or_default() += 1,
        }
    }

    fn closed(mut self, took: Duration) -> Self {
        self.good.sort();
        self.shed.sort();
        self.late.sort();
        self.took = took;
        self
    }

    fn goodput(&self) -> f64 {
        self.good.len() as f64 / self.took.as_secs_f64()
    }

    fn good_p99(&self) -> Duration {
        quantile(&self.good, 0.99)
    }

    fn shed_p99(&self) -> Duration {
        quantile(&self.shed, 0.99)
    }

    fn late_p99(&self) -> Duration {
        quantile(&self.late, 0.99)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line =
            |all: &[Duration]| format!("p50 {:.1} ms, p99 {:.1} ms", ms(quantile(all, 0.5)), ms(quantile(all, 0.99)));
        write!(
            f,
            "{:.0}/s done ({}), {:.0}/s refused ({}), client late by p99 {:.1} ms, failed: {:?}",
            self.goodput(),
            line(&self.good),
            self.shed.len() as f64 / self.took.as_secs_f64(),
            line(&self.shed),
            ms(self.late_p99()),
            self.failures
        )
    }
}

#[derive(Clone)]
struct Load {
    at: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    idle: Arc<Mutex<Vec<Connection>>>,
    connections: Arc<Semaphore>,
}

impl Load {
    fn new(at: SocketAddr, key: &str) -> Self {
        let reserve = |n| format!(r#"{{"lines": [{{"sku": "P-{n}", "quantity": 1}}], "ttl_seconds": 60}}"#);
        let requests = (0..PRODUCTS).map(|n| request("POST", "/v1/reservations", key, &reserve(n))).collect();
        Self {
            at,
            requests: Arc::new(requests),
            idle: Arc::default(),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    /// One request, on a connection that is idle or new.
    async fn ask(&self, n: usize) -> std::io::Result<(u16, bool)> {
        let idle = self.idle.lock().unwrap().pop();
        let asked = async {
            let mut connection = match idle {
                Some(connection) => connection,
                None => Connection::open(self.at).await?,
            };
            // Neighbours in time are of different products.
            connection.send(&self.requests[n * 37 % PRODUCTS]).await?;
            let answer = connection.answer().await?;
            if !answer.is_last {
                self.idle.lock().unwrap().push(connection);
            }
            std::io::Result::Ok((answer.status, answer.head.contains("\r\nretry-after:")))
        };
        asked.await
    }

    /// Requests done in a second.
    async fn closed(&self, time: Duration) -> f64 {
        let begun = Instant::now();
        let clients = (0..CLOSED).map(|client| {
            let load = self.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while begun.elapsed() < time {
                    done += usize::from(matches!(load.ask(client + CLOSED * done).await, Ok((201, _))));
                }
                done
            })
        });
        let done = futures::future::join_all(clients).await;
        done.into_iter().map(Result::unwrap).sum::<usize>() as f64 / begun.elapsed().as_secs_f64()
    }

    /// `rate` requests a second, come what may.
    async fn open(&self, rate: f64, time: Duration) -> Outcome {
        let outcome = Arc::new(Mutex::new(Outcome::default()));
        let begun = Instant::now();
        let mut asking = tokio::task::JoinSet::new();
        let mut next = 0;
        let mut ticks = tokio::time::interval(TICK);
        while begun.elapsed() < time {
            ticks.tick().await;
            let due = (begun.elapsed().as_secs_f64() * rate) as usize;
            for n in next..due {
                let (load, outcome) = (self.clone(), outcome.clone());
                let moment = begun + Duration::from_secs_f64(n as f64 / rate);
                asking.spawn(async move {
                    let _one = load.connections.acquire().await.unwrap();
                    let late = moment.elapsed();
                    let answer = load.ask(n).await;
                    outcome.lock().unwrap().note(late, moment.elapsed(), answer);
                });
            }
            next = due;
            while asking.try_join_next().is_some() {}
        }
        while asking.join_next().await.is_some() {}
        let took = begun.elapsed();
        std::mem::take(&mut *outcome.lock().unwrap()).closed(took)
    }

    /// After how many seconds the latency is what it was, or nearly; 10 when it was not by then.
    async fn recovery(&self, rate: f64, was: Duration) -> u64 {
        for second in 0..10 {
            let outcome = self.open(rate, Duration::from_secs(1)).await;
            if outcome.shed.is_empty()
                && outcome.failures.is_empty()
                && outcome.good_p99() <= was.mul_f64(1.5).max(Duration::from_millis(20))
            {
                return second;
            }
        }
        10
    }
}
