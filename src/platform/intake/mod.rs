//! What is let in: two layers, before and after it is known who calls.
//!
//! Each request passes what costs least first. Strangers are counted by their address and cost neither memory nor
//! a look-up once they have failed too often; whoever has a key is counted by it, brings the body, and waits for a
//! place in work. Probes (`/healthz`, `/readyz`) pass all of it.

mod body;
mod gate;
mod rate;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use self::body::Bodies;
use self::gate::{Gate, Place};
use self::rate::{Left, Rate};
use super::Caller;
use super::client::ClientAddress;
use super::edge::is_api;
use super::limits::Limits;
use super::problem::{OVERLOADED, Problem, TIMED_OUT, TOO_MANY_REQUESTS};

/// What the intake has to know of the API behind it.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Addresses of POSTs that only read
    pub reading: &'static [&'static str],
    /// Addresses that go through all there is, and may take ten times as long
    pub patient: &'static [&'static str],
}

/// Places in work for each connection to the database: some are read and written while others wait for it, and a
/// burst is better served a little later than refused.
const PLACES_PER_CONNECTION: usize = 36;

pub struct Intake {
    limits: Limits,
    api: Api,
    by_address: Option<Rate>,
    by_key: Option<Rate>,
    failures: Option<Rate>,
    good: Good,
    /// Reads have their own, as they have their own connections: a crowd at one product keeps nobody from reading.
    reads: Gate,
    writes: Gate,
    bodies: Bodies,
    at_once: Arc<AtOnce>,
}

impl Intake {
    pub fn new(limits: &Limits, body_limit: usize, database_connections: u32, api: Api) -> Self {
        let places = match limits.requests_in_work {
            0 => usize::try_from(database_connections).expect("a small number") * PLACES_PER_CONNECTION,
            places => places,
        };
        let reads = (places / 2).max(1);
        let patience = Duration::from_millis(limits.queue_ms);
        let second = Duration::from_secs(1);
        Self {
            api,
            by_address: Rate::new("address", limits.address_rate, second),
            by_key: Rate::new("key", limits.key_rate, second),
            failures: Rate::new("failed-keys", limits.failed_keys, 60 * second),
            good: Good::default(),
            reads: Gate::new("reads", reads, patience),
            writes: Gate::new("writes", (places - reads).max(1), patience),
            bodies: Bodies::new(body_limit, limits),
            at_once: Arc::default(),
            limits: limits.clone(),
        }
    }

    fn gate(&self, request: &Request) -> &Gate {
        let reads =
            matches!(*request.method(), Method::GET | Method::HEAD) || self.api.reading.contains(&request.uri().path());
        if reads { &self.reads } else { &self.writes }
    }

    /// The address to count, unless it is one whose requests may come from anybody.
    fn counted(&self, request: &Request) -> Option<IpAddr> {
        let address = request.extensions().get::<ClientAddress>()?;
        (!(self.limits.exempt_loopback && address.0.is_loopback())).then(|| address.network())
    }

    fn time_for(&self, path: &str) -> Duration {
        let time = Duration::from_secs(self.limits.request_seconds);
        if self.api.patient.contains(&path) { time * 10 } else { time }
    }

    /// Numbers that are only worth their price when somebody asks.
    pub fn measure(&self) {
        self.reads.measure();
        self.writes.measure();
    }
}

/// The outer layer, in front of whoever finds out who calls.
pub async fn meet(State(intake): State<Arc<Intake>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == "/healthz" || path == "/readyz" {
        return next.run(request).await;
    }
    if path == "/metrics" {
        intake.measure();
    }
    let address = intake.counted(&request);
    let rate = intake.by_address.as_ref().zip(address);
    let taken = match rate.map(|(rate, address)| rate.take(&address)) {
        Some(Err(left)) => {
            let refused = too_many("address", "this address sends more requests than it may", left);
            return told(refused, rate.map(|(rate, _)| (rate, left)));
        }
        other => other.and_then(Result::ok),
    };
    let response = meet_known(&intake, address, request, next).await;
    told(response, rate.map(|(rate, _)| rate).zip(taken))
}

/// ... and its rate is known to be in order.
async fn meet_known(intake: &Intake, address: Option<IpAddr>, request: Request, next: Next) -> Response {
    if !is_api(request.uri().path()) {
        return next.run(request).await;
    }
    let gate = intake.gate(&request);
    if is_shed(&request) && gate.is_shut() {
        return shed(gate);
    }
    let Some((failures, address)) = intake.failures.as_ref().zip(address) else { return next.run(request).await };
    let credentials = request.headers().get(header::AUTHORIZATION).or_else(|| request.headers().get(header::COOKIE));
    let credentials = credentials.map(|value| intake.good.mark(address, value));
    let left = failures.look(&address);
    if left.tokens == 0 && !credentials.is_some_and(|mark| intake.good.has(mark)) {
        return too_many("failed-keys", "too many requests from this address had no valid key", left);
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        let _ = failures.take(&address);
    } else if let Some(mark) = credentials {
        intake.good.keep(mark);
    }
    response
}

/// The inner layer, behind whoever found out who calls.
pub async fn admit(State(intake): State<Arc<Intake>>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().map(|caller| caller.id) else {
        // Who was let through without a key asks for nothing that takes work, or logs in.
        return if is_api(request.uri().path()) {
            work(&intake, None, request, next).await
        } else {
            next.run(request).await
        };
    };
    let mut taken = None;
    if let Some(rate) = &intake.by_key {
        match rate.take(&caller) {
            Ok(left) => taken = Some((rate, left)),
            Err(left) => {
                let refused = too_many("key", "this key sends more requests than it may", left);
                return told(refused, Some((rate, left)));
            }
        }
    }
    let Some(turn) = intake.at_once.enter(caller, intake.limits.requests_per_key) else {
        let left = Left::default();
        return told(too_many("key-at-once", "this key has too many requests in work at once", left), taken);
    };
    told(work(&intake, Some(turn), request, next).await, taken)
}

async fn work(intake: &Intake, turn: Option<Turn>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let received = match intake.bodies.receive(body).await {
        Ok(received) => received,
        Err(problem) => return close_after(problem),
    };
    let mut request = Request::from_parts(parts, Body::from(received.bytes));
    let gate = intake.gate(&request);
    let place = if is_shed(&request) {
        let Some(place) = gate.enter().await else { return shed(gate) };
        Some(place)
    } else {
        None
    };
    let time = intake.time_for(request.uri().path());
    let admitted = Admitted { _holding: Arc::new(Holding { _turn: turn, _memory: received.memory, _place: place }) };
    request.extensions_mut().insert(admitted.clone());
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(&TIMED_OUT, format!("no answer within {} s", time.as_secs())).into_response(),
    }
}

/// Whoever watches the server must see it most of all when it has too much to do.
fn is_shed(request: &Request) -> bool {
    request.uri().path() != "/metrics"
}

/// What a request holds while it is in work. A command keeps it until it is done, also when its client has gone:
/// otherwise one could begin any number of them by hanging up.
#[derive(Clone)]
pub struct Admitted {
    _holding: Arc<Holding>,
}

struct Holding {
    _turn: Option<Turn>,
    _memory: Option<Place>,
    _place: Option<Place>,
}

fn shed(gate: &Gate) -> Response {
    gate.shed();
    Problem::new(&OVERLOADED, "more requests are waiting than can be served; repeat it in a moment").into_response()
}

fn too_many(limit: &'static str, detail: &str, left: Left) -> Response {
    metrics::counter!("stockhold_requests_limited_total", "limit" => limit).increment(1);
    let seconds = left.retry_after();
    let problem = Problem::new(&TOO_MANY_REQUESTS, format!("{detail}; try again in {seconds} s")).with("limit", &limit);
    let mut response = problem.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

fn told(mut response: Response, state: Option<(&Rate, Left)>) -> Response {
    if let Some((rate, left)) = state {
        rate.tell(left, response.headers_mut());
    }
    response
}

/// What is left of the body stays unread, and then nothing else can be read either.
fn close_after(problem: Problem) -> Response {
    metrics::counter!("stockhold_bodies_refused_total", "why" => problem.kind().slug).increment(1);
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Requests in work by key.
#[derive(Default)]
struct AtOnce(Mutex<HashMap<Uuid, usize>>);

/// One of them, until it is dropped.
struct Turn {
    all: Arc<AtOnce>,
    caller: Uuid,
}

impl AtOnce {
    fn enter(self: &Arc<Self>, caller: Uuid, most: usize) -> Option<Turn> {
        let mut counts = self.0.lock().expect("never poisoned");
        let count = counts.entry(caller).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Turn { all: self.clone(), caller })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().expect("never poisoned");
        if let Some(count) = counts.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.caller);
            }
        }
    }
}

/// Credentials that were good lately, by a hash: where one client of an address has a wrong key, its neighbours with a
/// right one go on. Whoever finds a hash that fits gains nothing but to have the key checked.
struct Good {
    hash: RandomState,
    marks: Box<[AtomicU64]>,
}

impl Default for Good {
    fn default() -> Self {
        Self { hash: RandomState::new(), marks: (0..4096).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Good {
    fn mark(&self, address: IpAddr, credentials: &HeaderValue) -> u64 {
        self.hash.hash_one((address, credentials.as_bytes()))
    }

    fn cell(&self, mark: u64) -> &AtomicU64 {
        &self.marks[usize::try_from(mark).expect("64 bits") % self.marks.len()]
    }

    fn has(&self, mark: u64) -> bool {
        self.cell(mark).load(Relaxed) == mark
    }

    fn keep(&self, mark: u64) {
        self.cell(mark).store(mark, Relaxed);
    }
}
