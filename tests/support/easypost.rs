//! A stand-in for EasyPost that keeps books, and can lose requests and answers.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part, and one that cannot go on should stop there"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const API_KEY: &str = "EZAK_test_hush";
/// What it is before it has its normal form.
pub const WEBHOOK_SECRET: &str = "s\u{e9}cret hush";

/// A parcel that weighs so many grams has a label that cannot be paid.
pub const UNPAYABLE: i64 = 666;
/// And one of so many is not taken back.
pub const KEPT: i64 = 777;

#[derive(Clone, Debug)]
pub struct Shipment {
    pub asked: Value,
    /// The rate that it was bought at
    pub rate: Option<String>,
    /// How often it was paid
    pub paid: u32,
    pub refund: Option<&'static str>,
    pub details: Vec<Value>,
}

#[derive(Default)]
pub struct Books {
    pub shipments: BTreeMap<String, Shipment>,
    /// Nobody answers
    pub is_away: bool,
    /// What is lost of which call
    losses: Option<StdRng>,
    lost: BTreeMap<String, u32>,
}

#[derive(Clone)]
pub struct EasyPost {
    pub url: String,
    books: Arc<Mutex<Books>>,
}

/// Of what changes the books, each call is lost this often at most, so that all is done before long.
const LOST: u32 = 1;

impl EasyPost {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let easypost = Self { url, books: Arc::default() };
        let router = Router::new()
            .route("/v2/shipments", post(create))
            .route("/v2/shipments/{id}", get(read))
            .route("/v2/shipments/{id}/{what}", post(act))
            .route("/files/{name}", get(file))
            .with_state(easypost.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        easypost
    }

    /// From now on requests are lost, and answers.
    pub fn lose(&self, seed: u64) {
        self.books().losses = Some(StdRng::seed_from_u64(seed));
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    pub fn shipment(&self, id: &str) -> Shipment {
        self.books().shipments[id].clone()
    }

    pub fn change(&self, id: &str, change: impl FnOnce(&mut Shipment)) {
        change(self.books().shipments.get_mut(id).unwrap());
    }

    /// How many labels were paid, all in all.
    pub fn paid(&self) -> u32 {
        self.books().shipments.values().map(|shipment| shipment.paid).sum()
    }

    /// What it tells of a parcel.
    pub fn tracker(&self, id: &str) -> Value {
        shown(id, &self.shipment(id), &self.url)["tracker"].clone()
    }

    /// Whether the call comes from the shop.
    fn knows(headers: &HeaderMap) -> bool {
        let right = format!("Basic {}", STANDARD.encode(format!("{API_KEY}:")));
        headers.get("authorization").is_some_and(|given| given == right.as_str())
    }

    /// Does what is asked, unless the request is lost; tells of it, unless the answer is.
    fn answer(
        &self,
        headers: &HeaderMap,
        call: &str,
        work: impl FnOnce(&mut Books, &str) -> Result<Value, (u16, String)>,
    ) -> Response {
        if !Self::knows(headers) {
            return refused(401, "This api key is not known");
        }
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
                let _ = work(&mut books, &self.url);
                cut()
            }
            _ => match work(&mut books, &self.url) {
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
    let error = json!({"code": "SHIPMENT.INVALID", "message": told, "errors": []});
    (StatusCode::from_u16(status).unwrap(), Json(json!({"error": error}))).into_response()
}

fn number_of(id: &str) -> String {
    format!("EZ10000{}", &id[4..])
}

fn shown(id: &str, shipment: &Shipment, url: &str) -> Value {
    let rate = |n: u32, service: &str, rate: &str, days: Value| {
        json!({
            "id": format!("rate_{n}_{}", &id[4..]), "object": "Rate", "carrier": "USPS", "service": service, "rate": rate,
            "currency": "USD", "delivery_days": days,
        })
    };
    let rates = [rate(1, "Priority", "11.90", json!(2)), rate(2, "GroundAdvantage", "5.49", Value::Null)];
    let selected = rates.iter().find(|rate| rate["id"].as_str() == shipment.rate.as_deref());
    let label = selected.map(|_| json!({"object": "PostageLabel", "label_url": format!("{url}/files/{id}.pdf")}));
    let number = selected.map(|_| number_of(id));
    let tracker = selected.map(|_| {
        json!({
            "id": format!("trk_{}", &id[4..]), "object": "Tracker", "tracking_code": number, "carrier": "USPS",
            "status": shipment.details.last().map_or(json!("pre_transit"), |detail| detail["status"].clone()),
            "shipment_id": id, "tracking_details": shipment.details,
        })
    });
    json!({
        "id": id, "object": "Shipment", "reference": shipment.asked["reference"], "rates": rates,
        "messages": [{"carrier": "UPS", "type": "rate_error", "message": "no account"}],
        "selected_rate": selected, "postage_label": label, "tracking_code": number, "tracker": tracker,
        "refund_status": shipment.refund,
    })
}

async fn create(State(easypost): State<EasyPost>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    easypost.answer(&headers, "create", |books, url| {
        let asked = body["shipment"].clone();
        if asked["to_address"]["city"] == "Nowhere" {
            return Err((422, "Unable to find that address.".to_owned()));
        }
        assert_eq!(asked["options"]["label_format"], "PDF");
        let id = format!("shp_{:04}", books.shipments.len() + 1);
        let shipment = Shipment { asked, rate: None, paid: 0, refund: None, details: Vec::new() };
        let made = shown(&id, &shipment, url);
        books.shipments.insert(id, shipment);
        Ok(made)
    })
}

async fn read(State(easypost): State<EasyPost>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if !EasyPost::knows(&headers) {
        return refused(401, "This api key is not known");
    }
    let books = easypost.books();
    if books.is_away {
        return cut();
    }
    match books.shipments.get(&id) {
        Some(shipment) => Json(shown(&id, shipment, &easypost.url)).into_response(),
        None => refused(404, "The requested resource could not be found."),
    }
}

async fn act(
    State(easypost): State<EasyPost>,
    headers: HeaderMap,
    Path((id, what)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    easypost.answer(&headers, &format!("{what} {id}"), |books, url| {
        let shipment = books.shipments.get_mut(&id).ok_or((404, "no such shipment".to_owned()))?;
        let ounces = |grams: i64| json!((grams as f64 / 28.349_523_125 * 10.0).ceil() / 10.0);
        let weighs = |grams: i64| shipment.asked["parcel"]["weight"] == ounces(grams);
        match (what.as_str(), &shipment.rate, shipment.refund) {
            ("buy", None, _) if weighs(UNPAYABLE) => return Err((402, "There is not enough money.".to_owned())),
            ("buy", None, _) => {
                shipment.rate = Some(body["rate"]["id"].as_str().unwrap().to_owned());
                shipment.paid += 1;
            }
            ("refund", Some(_), None) if weighs(KEPT) => shipment.refund = Some("rejected"),
            ("refund", Some(_), None) => shipment.refund = Some("submitted"),
            (what, ..) => return Err((422, format!("You cannot {what} that."))),
        }
        Ok(shown(&id, shipment, url))
    })
}

/// The carrier's own picture, for who has its address.
async fn file(State(easypost): State<EasyPost>, headers: HeaderMap, Path(name): Path<String>) -> Response {
    assert!(headers.get("authorization").is_none(), "the key is not told to who keeps files");
    let id = name.trim_end_matches(".pdf");
    let is_bought = easypost.books().shipments.get(id).is_some_and(|shipment| shipment.rate.is_some());
    if is_bought {
        format!("%PDF-1.4 the label of {id}").into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}
