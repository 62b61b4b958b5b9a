//! Clients that make calls on one product at two servers, in a hurry, and write down what they saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::checker::{MOST_CALLS, Operation};
use super::product::{Action, Answer, Ended, Level};
use crate::report::Result;
use crate::stage::{KEY, Node, Stage, WAREHOUSE};

const CLIENTS: usize = 5;
/// What each client sets out to do; some of it is sent again.
const CALLS: usize = 18;
/// A client that has this many calls before it begins nothing new, so that the checker can take them all.
const ENOUGH: usize = MOST_CALLS - 2 * CLIENTS;

pub struct Recorder {
    http: reqwest::Client,
    urls: Vec<String>,
}

/// What was seen of one product.
pub struct History {
    pub sku: String,
    pub calls: Vec<Operation<Action, Answer>>,
}

impl History {
    /// The history in words, with what could be explained of it.
    pub fn tell(&self, explained: &[usize]) -> String {
        let mut lines =
            vec![format!("{}: {} of {} calls can be explained", self.sku, explained.len(), self.calls.len())];
        let mut by_begin: Vec<usize> = (0..self.calls.len()).collect();
        by_begin.sort_by_key(|n| self.calls[*n].begun);
        for n in by_begin {
            let Operation { key, call, begun, ended } = &self.calls[n];
            let place = explained.iter().position(|it| *it == n).map_or("-".to_owned(), |place| place.to_string());
            let (until, answer) = match ended {
                Some((at, answer)) => (at.to_string(), format!("{answer:?}")),
                None => ("?".to_owned(), "?".to_owned()),
            };
            lines.push(format!("    {place:>3}  {begun:>12} – {until:<12} {key:?} {call:?} → {answer}"));
        }
        lines.join("\n")
    }

    /// Makes the first read see more than there ever was; false when nothing was read.
    pub fn falsify(&mut self) -> bool {
        let reads = self.calls.iter_mut().filter(|it| it.call == Action::Read);
        let Some((_, Answer::Level(level))) = reads.filter_map(|it| it.ended.as_mut()).min_by_key(|(at, _)| *at) else {
            return false;
        };
        level.on_hand += 1_000;
        level.available += 1_000;
        true
    }
}

impl Recorder {
    pub fn new(stage: &Stage) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { http, urls: stage.servers.iter().map(Node::url).collect() })
    }

    /// One history, on a product of its own.
    pub async fn record(&self, seed: u64, number: u64) -> Result<History> {
        let sku = format!("HISTORY-{number}");
        let product = json!({"sku": sku, "name": sku});
        let created = self.http.post(format!("{}/v1/products", self.urls[0])).bearer_auth(KEY).json(&product).send();
        created.await?.error_for_status()?;
        let notes = Arc::new(Notes { begun: Instant::now(), seen: Mutex::default() });
        let client = |n: usize| Client {
            recorder: self,
            sku: sku.clone(),
            notes: notes.clone(),
            turn: n,
            on_hand: 0,
            rng: StdRng::seed_from_u64(seed ^ (number << 8 | n as u64)),
        };
        let mut first = client(CLIENTS);
        first.answered(Action::Adjust { change: 12 }).await?;
        try_join_all((0..CLIENTS).map(|n| client(n).work())).await?;
        first.answered(Action::Read).await?;
        drop(first);
        let calls = std::mem::take(&mut notes.seen().calls);
        Ok(History { sku, calls })
    }
}

/// What all clients of a history know and saw.
struct Notes {
    begun: Instant,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: Vec<Operation<Action, Answer>>,
    /// Names are given in the order in which things are first asked for, and are the Idempotency-Keys.
    names: usize,
    holds: Vec<(usize, String)>,
    orders: Vec<(usize, String)>,
    /// The first answer to each key, as it came
    answers: BTreeMap<usize, Vec<u8>>,
}

impl Notes {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).expect("a history is short")
    }
}

struct Client<'a> {
    recorder: &'a Recorder,
    sku: String,
    notes: Arc<Notes>,
    /// Whose turn it is of the servers
    turn: usize,
    /// As last seen
    on_hand: i64,
    rng: StdRng,
}

impl Client<'_> {
    async fn work(mut self) -> Result<()> {
        for _ in 0..CALLS {
            if self.notes.seen().calls.len() >= ENOUGH {
                break;
            }
            let action = self.choose();
            let key = self.key_of(&action);
            // Some are impatient: they hang up, and half of those never find out.
            let hurry = self.rng.random_bool(0.12);
            let patience = hurry.then(|| Duration::from_micros(self.rng.random_range(500..20_000)));
            let known = self.send(key, &action, patience).await?;
            let insists = !known && action != Action::Read && self.rng.random_bool(0.5);
            let repeats = known && key.is_some() && self.rng.random_bool(0.08);
            if insists || repeats {
                while !self.send(key, &action, None).await? {}
            }
        }
        Ok(())
    }

    /// Until there is an answer.
    async fn answered(&mut self, action: Action) -> Result<()> {
        let key = self.key_of(&action);
        while !self.send(key, &action, None).await? {}
        Ok(())
    }

    fn new_name(&self) -> usize {
        let mut seen = self.notes.seen();
        seen.names += 1;
        seen.names
    }

    /// POSTs have one.
    fn key_of(&self, action: &Action) -> Option<usize> {
        match action {
            Action::Reserve { name, .. } | Action::Commit { name, .. } | Action::Order { name, .. } => Some(*name),
            Action::Cancel { .. } | Action::Adjust { .. } | Action::SetTo { .. } => Some(self.new_name()),
            Action::Release { .. } | Action::Read => None,
        }
    }

    fn choose(&mut self) -> Action {
        let pick = |list: &[(usize, String)], rng: &mut StdRng| {
            if list.is_empty() { None } else { Some(list[rng.random_range(0..list.len())].0) }
        };
        let (hold, order) = {
            let seen = self.notes.seen();
            // The latest ones: somebody else may be at them just now.
            let late = |list: &[(usize, String)]| list[list.len().saturating_sub(6)..].to_vec();
            (pick(&late(&seen.holds), &mut self.rng), pick(&late(&seen.orders), &mut self.rng))
        };
        let quantity = self.rng.random_range(1..=5);
        match (self.rng.random_range(0..100), hold, order) {
            (0..14, Some(hold), _) => Action::Release { hold },
            (14..28, Some(hold), _) => Action::Commit { name: self.new_name(), hold },
            (28..42, _, Some(order)) => Action::Cancel { order },
            (42..52, ..) => {
                let sign = if self.rng.random_bool(0.5) { 1 } else { -1 };
                Action::Adjust { change: sign * quantity }
            }
            (52..60, ..) => {
                let set_to = (self.on_hand + self.rng.random_range(-3..=4)).max(0);
                Action::SetTo { set_to, expected: self.on_hand }
            }
            (60..72, ..) => Action::Read,
            (72..82, ..) => Action::Order { name: self.new_name(), quantity },
            _ => Action::Reserve { name: self.new_name(), quantity },
        }
    }

    /// Sends it once and writes down what came of it; false when that is not known.
    async fn send(&mut self, key: Option<usize>, action: &Action, patience: Option<Duration>) -> Result<bool> {
        let mut request = self.request(action).bearer_auth(KEY);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", format!("{}-{key}", self.sku));
        }
        if let Some(patience) = patience {
            request = request.timeout(patience);
        }
        let begun = self.notes.now();
        let answer = async {
            let response = request.send().await?;
            Ok::<_, reqwest::Error>((response.status().as_u16(), response.bytes().await?.to_vec()))
        };
        let outcome = answer.await;
        let ended = self.notes.now();
        let call = action.clone();
        match outcome {
            // Nothing happened, because the same is still under way.
            Ok((409, body)) if is(&body, "idempotency-in-progress") => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(false)
            }
            Ok((status, body)) if status < 500 => {
                let answer = self.understand(key, action, status, body)?;
                self.notes.seen().calls.push(Operation { key, call, begun, ended: Some((ended, answer)) });
                Ok(true)
            }
            // A read that nobody saw did nothing.
            _ if *action == Action::Read => Ok(false),
            _ => {
                self.notes.seen().calls.push(Operation { key, call, begun, ended: None });
                Ok(false)
            }
        }
    }

    fn request(&mut self, action: &Action) -> RequestBuilder {
        self.turn += 1;
        let Recorder { http, urls } = self.recorder;
        let url = &urls[self.turn % urls.len()];
        let seen = self.notes.seen();
        let id_of = |list: &[(usize, String)], name: usize| {
            list.iter().find(|(it, _)| *it == name).map(|(_, id)| id.clone()).expect("it was chosen from this list")
        };
        let post = |path: &str, body: Value| http.post(format!("{url}/v1/{path}")).json(&body);
        let (sku, warehouse) = (&self.sku, WAREHOUSE);
        match *action {
            Action::Reserve { quantity, .. } => {
                post("reservations", json!({"lines": [{"sku": sku, "quantity": quantity}], "ttl_seconds": 86_400}))
            }
            Action::Order { quantity, .. } => post("orders", json!({"lines": [{"sku": sku, "quantity": quantity}]})),
            Action::Commit { hold, .. } => post("orders", json!({"reservation_id": id_of(&seen.holds, hold)})),
            Action::Cancel { order } => post(&format!("orders/{}/cancel", id_of(&seen.orders, order)), json!({})),
            Action::Adjust { change } => {
                let body = json!({"sku": sku, "warehouse": warehouse, "change": change, "reason": "correction"});
                post("stock/adjustments", body)
            }
            Action::SetTo { set_to, expected } => post(
                "stock/adjustments",
                json!({"sku": sku, "warehouse": warehouse, "set_to": set_to, "expected_on_hand": expected, "reason": "recount"}),
            ),
            Action::Release { hold } => {
                http.request(Method::DELETE, format!("{url}/v1/reservations/{}", id_of(&seen.holds, hold)))
            }
            Action::Read => http.get(format!("{url}/v1/stock/{sku}")),
        }
    }

    /// What the answer says, in the words of the model. It must be one that the call may have.
    fn understand(&mut self, key: Option<usize>, action: &Action, status: u16, body: Vec<u8>) -> Result<Answer> {
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let number = |it: &Value| it.as_i64().ok_or_else(|| format!("no number in {json}"));
        let level = |it: &Value| -> Result<Answer> {
            let [on_hand, reserved, allocated, available] =
                ["on_hand", "reserved", "allocated", "available"].map(|name| number(&it[name]));
            let level = Level { on_hand: on_hand?, reserved: reserved?, allocated: allocated?, available: available? };
            Ok(Answer::Level(level))
        };
        let answer = match (action, status) {
            (Action::Reserve { .. } | Action::Order { .. } | Action::Commit { .. }, 201)
            | (Action::Cancel { .. }, 200)
            | (Action::Release { .. }, 204) => Answer::Done,
            (Action::Adjust { .. } | Action::SetTo { .. }, 201) => level(&json["level"])?,
            (Action::Read, 200) => level(&json)?,
            (_, 409) if is(&body, "insufficient-stock") => {
                Answer::Short { available: number(&json["shortages"][0]["available"])? }
            }
            (Action::SetTo { .. }, 409) if is(&body, "stale-quantity") => {
                Answer::Stale { on_hand: number(&json["on_hand"])? }
            }
            (Action::Release { .. } | Action::Commit { .. }, 409) if is(&body, "reservation-ended") => {
                match json["reservation_status"].as_str() {
                    Some("released") => Answer::Ended(Ended::Released),
                    Some("committed") => Answer::Ended(Ended::Committed),
                    other => return Err(format!("the hold ended as {other:?}").into()),
                }
            }
            _ => return Err(format!("{action:?}: {status} {json}").into()),
        };
        if let Answer::Level(level) = &answer {
            self.on_hand = level.on_hand;
        }
        self.learn(key, action, &answer, &json, body)?;
        Ok(answer)
    }

    /// Notes what was made, and that a key has one answer.
    fn learn(&self, key: Option<usize>, action: &Action, answer: &Answer, json: &Value, body: Vec<u8>) -> Result<()> {
        let mut seen = self.notes.seen();
        if let Some(first) = key.and_then(|key| seen.answers.get(&key)) {
            let same = *first == body;
            return if same { Ok(()) } else { Err(format!("{action:?}: the second answer to a key differs").into()) };
        }
        if let Some(key) = key {
            seen.answers.insert(key, body);
        }
        let id = json["id"].as_str().unwrap_or_default().to_owned();
        match (action, answer) {
            (Action::Reserve { name, .. }, Answer::Done) => seen.holds.push((*name, id)),
            (Action::Order { name, .. } | Action::Commit { name, .. }, Answer::Done) => seen.orders.push((*name, id)),
            _ => {}
        }
        Ok(())
    }
}

fn is(body: &[u8], slug: &str) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|it| it["type"].as_str() == Some(&*format!("/problems/{slug}")))
}
