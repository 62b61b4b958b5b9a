//! Scenario 9, second half: sequences of calls, made from seeds, against two servers and a model of the shop in
//! memory. Every answer, and now and then the whole stock, must be what the model says.

mod calls;
mod decide;
mod generate;
mod shop;
mod sourcing;
mod views;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Run;
use crate::report::{Result, Verdict};
use crate::stage::{KEY, Node, Stage};

use calls::{Call, Ids, Names, Request};
use decide::{Expected, Made, Model};
use generate::Generator;
use shop::{CHANNELS, INACTIVE, PRIORITIES, Product, Shop, WAREHOUSES};

/// Calls in a sequence.
const CALLS: usize = 50;
/// After this many, all stock is compared.
const STRETCH: usize = 10;
const PRODUCTS: usize = 3;
/// Sequences that are printed whole, should they fail.
const SHOWN: usize = 3;
/// Sequences at a time, each among warehouses and channels of its own.
const LANES: usize = 6;

pub async fn play(run: Run) -> Result<Verdict> {
    let mut stage = Stage::new().await?;
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let server = Server { http, urls: stage.servers.iter().map(Node::url).collect() };
    let lanes = Mutex::new(Vec::new());
    for lane in 0..LANES {
        let names = names(lane);
        server.furnish(&names).await?;
        lanes.lock().unwrap_or_else(PoisonError::into_inner).push(names);
    }
    let sequences = run.scaled(2_000, 24);
    let played = stream::iter(0..sequences).map(async |n| {
        let places =
            lanes.lock().unwrap_or_else(PoisonError::into_inner).pop().ok_or("as many lanes as sequences at a time")?;
        let outcome = sequence(&server, run.seed.wrapping_add(n), &places).await;
        lanes.lock().unwrap_or_else(PoisonError::into_inner).push(places);
        outcome
    });
    let outcomes: Vec<Result<Outcome>> = played.buffer_unordered(LANES).collect().await;
    let mut wrong: Vec<String> = Vec::new();
    let (mut calls, mut refused) = (0, 0);
    for outcome in outcomes {
        let outcome = outcome?;
        (calls, refused) = (calls + outcome.calls, refused + outcome.refused);
        wrong.extend(outcome.wrong);
    }
    let mut verdict = Verdict::default();
    verdict.note("sequences", sequences);
    verdict.note("calls in them", calls);
    verdict.note("  of which were to be refused", refused);
    wrong.iter().take(SHOWN).for_each(|it| println!("  {it}"));
    let seeds: Vec<String> = wrong.iter().filter_map(|it| it.lines().next().map(str::to_owned)).collect();
    verdict.none("sequences in which server and model differ", &seeds);
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

fn names(lane: usize) -> Names {
    let codes = |letters: &[&str]| letters.iter().map(|it| format!("LANE-{lane}-{it}")).collect();
    Names { skus: Vec::new(), warehouses: codes(&["A", "B", "C", "D"]), channels: codes(&["web", "till"]) }
}

#[derive(Default)]
struct Outcome {
    calls: usize,
    refused: usize,
    /// What differs, and all that led there
    wrong: Option<String>,
}

/// Plays one sequence on products of its own.
async fn sequence(server: &Server, seed: u64, places: &Names) -> Result<Outcome> {
    let names = Names { skus: (1..=PRODUCTS).map(|n| format!("S{seed}-{n}")).collect(), ..places.clone() };
    let mut generator = Generator { rng: StdRng::seed_from_u64(seed) };
    let mut shop = Shop::default();
    for (n, sku) in names.skus.iter().enumerate() {
        // The first is never promised beyond stock, unless a call says so.
        let product = Product { backorder_limit: 6 * i64::try_from(n)?, ..Product::default() };
        let body = json!({"sku": sku, "name": sku, "availability": {"backorder_limit": product.backorder_limit}});
        server.send(n, "POST", "/v1/products", None, Some(&body)).await?.expect(201)?;
        shop.products.push(product);
    }
    let mut player = Player { server, seed, model: Model { shop, names }, ids: Ids::default(), steps: Vec::new() };
    let mut outcome = Outcome::default();
    for n in 1..=CALLS {
        let call = generator.next(&player.model.shop, &player.posts());
        let difference = match player.step(call).await? {
            None if n % STRETCH == 0 => player.compare_stock().await?,
            difference => difference,
        };
        outcome.calls += 1;
        outcome.refused += usize::from(player.steps.last().is_some_and(|it| it.answer.status >= 400));
        if let Some(difference) = difference {
            outcome.wrong = Some(player.tell(&difference));
            return Ok(outcome);
        }
    }
    outcome.wrong = player.compare_things().await?.map(|difference| player.tell(&difference));
    Ok(outcome)
}

/// How one of its kind looks.
type View = fn(&Shop, &Names, usize) -> Value;

struct Player<'a> {
    server: &'a Server,
    seed: u64,
    model: Model,
    ids: Ids,
    steps: Vec<Step>,
}

struct Step {
    call: Call,
    request: Request,
    answer: Answer,
}

impl Player<'_> {
    /// Steps that may be sent again.
    fn posts(&self) -> Vec<usize> {
        let fit =
            |it: &Step| it.request.method == "POST" && !matches!(it.call, Call::Again { .. } | Call::Reuse { .. });
        self.steps.iter().enumerate().filter(|(_, it)| fit(it)).map(|(n, _)| n).collect()
    }

    /// Makes the call; tells what is not as the model says.
    async fn step(&mut self, call: Call) -> Result<Option<String>> {
        let number = self.steps.len();
        let (key, request) = match &call {
            Call::Again { step } => (*step, self.steps[*step].request.clone()),
            Call::Reuse { step } => {
                let mut request = self.steps[*step].request.clone();
                request.path.push_str("?another=request");
                (*step, request)
            }
            other => (number, other.request(&self.model.names, &self.ids).ok_or("a request of its own")?),
        };
        let key = (request.method == "POST").then(|| format!("{}-{key}", self.seed));
        let Request { method, path, body } = &request;
        let answer = self.server.send(number, method, path, key.as_deref(), body.as_ref()).await?;
        let difference = match &call {
            Call::Again { step } => answer.differs_from(&self.steps[*step].answer),
            Call::Reuse { .. } => {
                let body = json!({"type": "/problems/idempotency-key-reused"});
                answer.differs(&Expected { status: 422, body, made: None })
            }
            other => {
                let expected = self.model.call(other);
                let difference = answer.differs(&expected);
                if difference.is_none() {
                    self.keep(expected.made, answer.json()["id"].as_str().unwrap_or_default().to_owned());
                }
                difference
            }
        };
        self.steps.push(Step { call, request, answer });
        Ok(difference)
    }

    fn keep(&mut self, made: Option<Made>, id: String) {
        match made {
            Some(Made::Reservation) => self.ids.reservations.push(id),
            Some(Made::Transfer) => self.ids.transfers.push(id),
            Some(Made::Shipment(order)) => self.ids.shipments[order].push(id),
            Some(Made::Order) => {
                self.ids.orders.push(id);
                self.ids.shipments.push(Vec::new());
            }
            None => {}
        }
    }

    /// The stock of all products, everywhere and as each channel sees it.
    async fn compare_stock(&self) -> Result<Option<String>> {
        let Model { shop, names } = &self.model;
        for channel in std::iter::once(None).chain((0..CHANNELS.len()).map(Some)) {
            let body = json!({"skus": names.skus, "channel": channel.map(|n| &names.channels[n])});
            let answer = self.server.send(self.steps.len(), "POST", "/v1/stock/query", None, Some(&body)).await?;
            let items: Value = (0..PRODUCTS).map(|sku| views::stock(shop, names, sku, channel)).collect();
            let expected = Expected { status: 200, body: json!({"items": items}), made: None };
            if let Some(difference) = answer.differs(&expected) {
                return Ok(Some(format!("stock as channel {channel:?} sees it: {difference}")));
            }
        }
        Ok(None)
    }

    /// Every reservation, order and transfer.
    async fn compare_things(&self) -> Result<Option<String>> {
        let Model { shop, names } = &self.model;
        let kinds: [(&str, &[String], View); 3] = [
            ("reservations", &self.ids.reservations, views::reservation),
            ("orders", &self.ids.orders, views::order),
            ("transfers", &self.ids.transfers, views::transfer),
        ];
        for (kind, ids, view) in kinds {
            for (n, id) in ids.iter().enumerate() {
                let path = format!("/v1/{kind}/{id}");
                let answer = self.server.send(n, "GET", &path, None, None).await?;
                let expected = Expected { status: 200, body: view(shop, names, n), made: None };
                if let Some(difference) = answer.differs(&expected) {
                    return Ok(Some(format!("{path}: {difference}")));
                }
            }
        }
        Ok(None)
    }

    /// The sequence as requests, what differs after them, and how to see it again.
    fn tell(&self, difference: &str) -> String {
        let line = |(n, Step { call, request, answer }): (usize, &Step)| {
            let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
            format!("    {n:>2}  {call:?}\n        {} {} {body} → {}", request.method, request.path, answer.status)
        };
        let steps: Vec<String> = self.steps.iter().enumerate().map(line).collect();
        let seed = self.seed;
        format!(
            "seed {seed}: {difference}\n    replay: cargo test --test faults -- model --seed {seed}\n{}",
            steps.join("\n")
        )
    }
}

struct Server {
    http: reqwest::Client,
    urls: Vec<String>,
}

impl Server {
    /// Sends it to the server whose turn it is, and to the next if that has no time.
    async fn send(
        &self,
        turn: usize,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer> {
        for turn in turn..turn + 100 {
            let url = &self.urls[turn % self.urls.len()];
            let mut request = self.http.request(Method::from_bytes(method.as_bytes())?, format!("{url}{path}"));
            request = request.bearer_auth(KEY);
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = request.send().await?;
            let status = response.status().as_u16();
            let replayed = response.headers().contains_key("idempotency-replayed");
            let bytes = response.bytes().await?.to_vec();
            if status != 503 {
                return Ok(Answer { status, replayed, bytes });
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err("the server never has time".into())
    }

    /// Warehouses and channels of a lane.
    async fn furnish(&self, names: &Names) -> Result<()> {
        for (n, code) in names.warehouses.iter().enumerate().take(WAREHOUSES) {
            let body = json!({"code": code, "name": code, "priority": PRIORITIES[n], "active": n != INACTIVE});
            self.send(n, "POST", "/v1/warehouses", None, Some(&body)).await?.expect(201)?;
        }
        for (code, (links, few)) in names.channels.iter().zip(CHANNELS) {
            let link = |(n, buffer): &(usize, i64)| json!({"warehouse": names.warehouses[*n], "buffer": buffer});
            let links: Value = links.iter().map(link).collect();
            let sourcing = if few { Value::Null } else { json!(["channel_order"]) };
            let body = json!({"code": code, "name": code, "warehouses": links, "sourcing": sourcing});
            self.send(0, "POST", "/v1/channels", None, Some(&body)).await?.expect(201)?;
        }
        Ok(())
    }
}

struct Answer {
    status: u16,
    replayed: bool,
    bytes: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    fn expect(&self, status: u16) -> Result<()> {
        if self.status == status {
            Ok(())
        } else {
            Err(format!("{} instead of {status}: {}", self.status, self.json()).into())
        }
    }

    /// What is not as expected.
    fn differs(&self, expected: &Expected) -> Option<String> {
        let found = self.json();
        if self.status != expected.status {
            return Some(format!(
                "{} instead of {}: {found}\n    expected {}",
                self.status, expected.status, expected.body
            ));
        }
        difference(&expected.body, &in_order(found), "")
    }

    /// Byte for byte, and said to be a replay.
    fn differs_from(&self, first: &Self) -> Option<String> {
        let same = self.replayed && self.status == first.status && self.bytes == first.bytes;
        (!same).then(|| {
            format!(
                "the second answer to a key is another, or not said to be a replay: {} {}",
                self.status,
                self.json()
            )
        })
    }
}

/// Lists by warehouse have no order that is promised, and levels without anything need not be there.
fn in_order(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted = members.into_iter().map(|(name, value)| {
                let mut value = in_order(value);
                if let (Value::Array(items), "allocations" | "warehouses") = (&mut value, name.as_str()) {
                    items.retain(views::has_any);
                    items.sort_by_key(|it| it["warehouse"].as_str().map(str::to_owned));
                }
                (name, value)
            });
            Value::Object(sorted.collect())
        }
        Value::Array(items) => items.into_iter().map(in_order).collect(),
        other => other,
    }
}

/// The first place where what was found has not what is expected; it may have more members.
fn difference(expected: &Value, found: &Value, at: &str) -> Option<String> {
    match (expected, found) {
        (Value::Object(members), Value::Object(_)) => {
            members.iter().find_map(|(name, value)| difference(value, &found[name], &format!("{at}/{name}")))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().find_map(|(n, (one, other))| difference(one, other, &format!("{at}/{n}")))
        }
        (one, other) if one == other => None,
        _ => Some(format!("{at} is {found}, expected {expected}")),
    }
}
