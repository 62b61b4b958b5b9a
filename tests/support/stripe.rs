//! A stand-in for Stripe that keeps books: it forgets every `Idempotency-Key` at once, and can lose requests and answers.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part, and one that cannot go on should stop there"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const SECRET_KEY: &str = "sk_test_hush";
pub const WEBHOOK_SECRET: &str = "whsec_hush";

/// A token that is declined, whenever it is.
pub const DECLINED: &str = "pm_declined";

#[derive(Clone, Debug, Default)]
pub struct Intent {
    pub amount: i64,
    pub currency: String,
    pub status: String,
    pub payment_method: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// How often it was charged
    pub charges: u32,
    pub received: i64,
    pub cancellation_reason: Option<String>,
    pub declined: bool,
}

#[derive(Clone, Debug)]
pub struct Refund {
    pub intent: String,
    pub amount: i64,
    operation: Option<String>,
}

#[derive(Default)]
pub struct Books {
    pub intents: BTreeMap<String, Intent>,
    pub refunds: Vec<Refund>,
    /// What is lost of which call
    losses: Option<StdRng>,
    lost: BTreeMap<String, u32>,
}

#[derive(Clone)]
pub struct Stripe {
    pub url: String,
    books: Arc<Mutex<Books>>,
}

/// Of what changes the books, each call is lost this often at most, so that all is done before long.
const LOST: u32 = 1;

impl Stripe {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stripe = Self { url, books: Arc::default() };
        let router = Router::new()
            .route("/v1/payment_intents", post(create))
            .route("/v1/payment_intents/{id}", get(read))
            .route("/v1/payment_intents/{id}/{what}", post(act))
            .route("/v1/refunds", post(refund).get(refunds))
            .with_state(stripe.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        stripe
    }

    /// From now on requests are lost, and answers.
    pub fn lose(&self, seed: u64) {
        self.books().losses = Some(StdRng::seed_from_u64(seed));
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    pub fn intent(&self, id: &str) -> Intent {
        self.books().intents[id].clone()
    }

    pub fn change(&self, id: &str, change: impl FnOnce(&mut Intent)) {
        change(self.books().intents.get_mut(id).unwrap());
    }

    pub fn refunds_of(&self, intent: &str) -> Vec<i64> {
        let refunds = &self.books().refunds;
        refunds.iter().filter(|refund| refund.intent == intent).map(|refund| refund.amount).collect()
    }

    /// Where these payments are not what the books say: all that was charged is one of theirs, was charged once, and is as
    /// much as they say.
    pub fn disagreements(&self, payments: &[&Value]) -> Vec<String> {
        let charged = self.books().intents.clone().into_iter().filter(|(_, intent)| intent.charges > 0);
        let mut charged: Vec<(String, Intent)> = charged.collect();
        let mut wrong = Vec::new();
        for payment in payments {
            let is_its = |intent: &Intent| payment["id"] == intent.metadata["payment_id"];
            let (its, others) = charged.into_iter().partition(|(_, intent)| is_its(intent));
            charged = others;
            let its: Vec<(String, Intent)> = its;
            let charges: u32 = its.iter().map(|(_, intent)| intent.charges).sum();
            let received: i64 = its.iter().map(|(_, intent)| intent.received).sum();
            let refunded: i64 = its.iter().flat_map(|(id, _)| self.refunds_of(id)).sum();
            let agrees = payment["captured"] == received && payment["refunded"] == refunded;
            if charges > 1 || !agrees {
                wrong.push(format!("charged {charges} times, {received} taken, {refunded} given back: {payment}"));
            }
        }
        wrong.extend(charged.into_iter().map(|(id, intent)| format!("{id} is nobody's: {intent:?}")));
        wrong
    }

    /// What the shopper's browser does with the client secret.
    pub fn shopper_confirms(&self, id: &str) {
        self.change(id, |intent| {
            intent.payment_method = Some("pm_card".to_owned());
            "requires_capture".clone_into(&mut intent.status);
            intent.charges += 1;
        });
    }

    fn look(&self, work: impl FnOnce(&Books) -> Result<Value, (u16, String)>) -> Response {
        work(&self.books()).map_or_else(|(status, told)| refused(status, &told), |it| Json(it).into_response())
    }

    /// Does what is asked, unless the request is lost; tells of it, unless the answer is.
    fn answer(&self, call: &str, work: impl FnOnce(&mut Books) -> Result<Value, (u16, String)>) -> Response {
        let mut books = self.books();
        let is_new = books.lost.get(call).copied().unwrap_or_default() < LOST;
        let fate = books.losses.as_mut().map_or(9, |random| random.random_range(0..6));
        if fate < 3 && is_new {
            *books.lost.entry(call.to_owned()).or_default() += 1;
        }
        match (fate, is_new) {
            (0, true) => cut(),
            (1, true) => refused(503, "try again"),
            (2, true) => {
                let _ = work(&mut books);
                cut()
            }
            _ => match work(&mut books) {
                Ok(value) => Json(value).into_response(),
                Err((status, told)) => refused(status, &told),
            },
        }
    }
}

/// An answer that ends before it is told.
fn cut() -> Response {
    Body::from_stream(stream::once(async { Err::<String, _>(io::Error::other("cut off")) })).into_response()
}

fn refused(status: u16, told: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(json!({"error": {"message": told}}))).into_response()
}

fn shown(id: &str, intent: &Intent) -> Value {
    let error = intent.declined.then(|| json!({"message": "Your card was declined."}));
    json!({
        "id": id, "object": "payment_intent", "amount": intent.amount, "currency": intent.currency,
        "status": intent.status, "metadata": intent.metadata, "client_secret": format!("{id}_secret_hush"),
        "amount_received": intent.received, "last_payment_error": error,
        "cancellation_reason": intent.cancellation_reason,
        "latest_charge": {"payment_method_details": {"card": {"capture_before": 4_102_444_800i64}}},
    })
}

type Fields = BTreeMap<String, String>;

async fn create(State(stripe): State<Stripe>, Form(form): Form<Fields>) -> Response {
    let call = format!("create {}", form["metadata[operation_id]"]);
    stripe.answer(&call, |books| {
        let id = format!("pi_{}", books.intents.len() + 1);
        let payment_method = form.get("payment_method").cloned();
        let status = if payment_method.is_some() { "requires_confirmation" } else { "requires_payment_method" };
        assert_eq!(form["capture_method"], "manual");
        let metadata = form.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned(), value.clone()))
        });
        let intent = Intent {
            amount: form["amount"].parse().unwrap(),
            currency: form["currency"].clone(),
            status: status.to_owned(),
            payment_method,
            metadata: metadata.collect(),
            ..Intent::default()
        };
        let made = shown(&id, &intent);
        books.intents.insert(id, intent);
        Ok(made)
    })
}

async fn read(State(stripe): State<Stripe>, Path(id): Path<String>) -> Response {
    stripe.look(|books| match books.intents.get(&id) {
        Some(intent) => Ok(shown(&id, intent)),
        None => Err((404, format!("No such payment_intent: {id}"))),
    })
}

async fn act(
    State(stripe): State<Stripe>,
    Path((id, what)): Path<(String, String)>,
    Form(form): Form<Fields>,
) -> Response {
    stripe.answer(&format!("{what} {id}"), |books| {
        let intent = books.intents.get_mut(&id).ok_or((404, "no such intent".to_owned()))?;
        match (what.as_str(), intent.status.as_str()) {
            ("confirm", "requires_confirmation") if intent.payment_method.as_deref() == Some(DECLINED) => {
                (intent.declined, intent.status) = (true, "requires_payment_method".to_owned());
                return Err((402, "Your card was declined.".to_owned()));
            }
            ("confirm", "requires_confirmation") => {
                intent.charges += 1;
                "requires_capture".clone_into(&mut intent.status);
            }
            ("capture", "requires_capture") => {
                intent.received = form.get("amount_to_capture").map_or(intent.amount, |it| it.parse().unwrap());
                assert!(intent.received <= intent.amount);
                "succeeded".clone_into(&mut intent.status);
            }
            ("cancel", status) if status.starts_with("requires_") => "canceled".clone_into(&mut intent.status),
            (what, status) => return Err((400, format!("You cannot {what} what is {status}."))),
        }
        Ok(shown(&id, intent))
    })
}

async fn refund(State(stripe): State<Stripe>, Form(form): Form<Fields>) -> Response {
    let operation = form.get("metadata[operation_id]").cloned();
    stripe.answer(&format!("refund {operation:?}"), |books| {
        let (intent, amount) = (form["payment_intent"].clone(), form["amount"].parse().unwrap());
        let before: i64 = books.refunds.iter().filter(|it| it.intent == intent).map(|it| it.amount).sum();
        if before + amount > books.intents[&intent].received {
            return Err((400, "That is more than was charged.".to_owned()));
        }
        books.refunds.push(Refund { intent, amount, operation });
        Ok(json!({"id": format!("re_{}", books.refunds.len()), "status": "succeeded"}))
    })
}

async fn refunds(State(stripe): State<Stripe>, Query(query): Query<Fields>) -> Response {
    let intent = &query["payment_intent"];
    stripe.look(|books| {
        let found = books.refunds.iter().enumerate().filter(|(_, refund)| refund.intent == *intent);
        let found = found.map(|(n, refund)| {
            let metadata = json!({"operation_id": refund.operation});
            json!({"id": format!("re_{}", n + 1), "amount": refund.amount, "status": "succeeded", "metadata": metadata})
        });
        Ok(json!({"data": found.collect::<Vec<_>>(), "has_more": false}))
    })
}
