//! Scenario 15: cards are charged and paid back by servers that are killed, through a provider that loses calls and answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::Run;
use crate::client::Client;
use crate::postgres::Postgres;
use crate::report::{Result, Verdict};
use crate::server::place;
use crate::stage::{Node, PATIENCE, Stage, WAREHOUSE};
use crate::stripe::{SECRET_KEY, Stripe};

const BETWEEN_KILLS: Duration = Duration::from_secs(2);
const BUYERS: usize = 16;
const PRICE: i64 = 650;
/// For one order to be brought on, which may be under way in several servers that are killed, one after the other.
const FOR_AN_ORDER: Duration = Duration::from_secs(120);

pub async fn play(run: Run) -> Result<Verdict> {
    let home = place();
    let postgres = Postgres::create(home.path()).await?;
    let stripe = Stripe::start().await;
    stripe.lose(run.seed);
    let nodes = vec![node_with(&postgres, &stripe)?, node_with(&postgres, &stripe)?];
    let mut stage = Stage::of(home, postgres, nodes).await?;
    let many = run.scaled(10_000, 96);
    stage.stock(vec![("TEA".to_owned(), i64::try_from(many)?)]).await?;
    let client = stage.client()?;
    let steps = json!([{"kind": "payment"}, {"kind": "capture"}, {"kind": "ship"}]);
    let workflow = json!({"name": "Pay, then ship", "steps": steps});
    client.insist("PUT", "/v1/workflows/standard", None, Some(&workflow)).await?.expect(200)?;

    let paid = Arc::new(AtomicUsize::new(0));
    let mut buying = tokio::spawn(buy_all(client.clone(), run.seed, many, paid.clone()));
    let mut kills = 0;
    let orders = loop {
        tokio::select! {
            done = &mut buying => break done??,
            () = tokio::time::sleep(BETWEEN_KILLS) => {}
        }
        let next = kills % stage.servers.len();
        stage.servers[next].kill();
        stage.start(next)?;
        kills += 1;
        println!("  … kill {kills}, {} of {many} payments asked for", paid.load(Ordering::Relaxed));
    };
    for node in &stage.servers {
        node.until_ready(PATIENCE).await?;
    }
    let begun = Instant::now();
    // Of what was under way in a server that was killed, its lease has to run out first.
    let patience = PATIENCE + Duration::from_secs(30);
    while let Some(open) = under_way(&client).await? {
        if begun.elapsed() > patience {
            return Err(format!("it does not come to an end: {open}").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let mut verdict = Verdict::default();
    verdict.note("payments, kills", format!("{many}, {kills}"));
    verdict.note("ended after the last was asked for", format!("{:.1} s", begun.elapsed().as_secs_f32()));
    let payments = client.list("/v1/payments").await?;
    verdict.exactly("payments", payments.len(), many);
    let all: Vec<&Value> = payments.iter().collect();
    verdict.none("charged twice, or other than we say", &stripe.disagreements(&all));
    verdict.none("not as they were asked for", &unexpected(&payments, &orders));
    let runs = client.list("/v1/workflow-runs").await?;
    verdict.exactly("workflows", runs.len(), many);
    let open = runs.iter().filter(|run| run["ended_at"].is_null()).map(Value::to_string).collect::<Vec<_>>();
    verdict.none("  that did not end", &open);
    let ended = |status: &str| runs.iter().filter(|run| run["status"] == status).count();
    verdict.note("  completed, compensated", format!("{}, {}", ended("completed"), ended("compensated")));
    verdict.none("wrong answers", &client.tally.wrong());
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

/// A server that asks this Stripe, and asks again soon.
pub fn node_with(postgres: &Postgres, stripe: &Stripe) -> Result<Node> {
    let node = Node::new(postgres)?.setting("STOCKHOLD_STRIPE_SECRET_KEY", SECRET_KEY);
    let node = node.setting("STOCKHOLD_STRIPE_API_BASE", &stripe.url).setting("STOCKHOLD_STRIPE_RETRY_SECONDS", 1);
    Ok(node.setting("STOCKHOLD_STRIPE_TIMEOUT_SECONDS", 1))
}

/// Something that has not come to its end.
pub async fn under_way(client: &Client) -> Result<Option<Value>> {
    let kinds =
        ["workflow", "payments_of_cancelled", "payment"].map(|kind| format!("/v1/jobs?kind={kind}&status=pending"));
    let statuses = ["running", "compensating"].map(|status| format!("/v1/workflow-runs?status={status}"));
    for list in kinds.iter().chain(&statuses) {
        let open = client.get(&format!("{list}&limit=1")).await?;
        if let Some(open) = open["items"].as_array().and_then(|items| items.first()) {
            return Ok(Some(open.clone()));
        }
    }
    Ok(None)
}

/// What is to become of an order's money: so much is kept.
type Kept = BTreeMap<String, i64>;

async fn buy_all(client: Client, seed: u64, many: usize, paid: Arc<AtomicUsize>) -> Result<Kept> {
    let buyers = (0..BUYERS).map(|buyer| {
        let (client, paid) = (client.clone(), paid.clone());
        async move {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(buyer as u64));
            let mut orders = Vec::new();
            for n in (buyer..many).step_by(BUYERS) {
                orders.push(buy(&client, n, rng.random_range(0..3)).await?);
                paid.fetch_add(1, Ordering::Relaxed);
            }
            Result::Ok(orders)
        }
    });
    Ok(try_join_all(buyers).await?.into_iter().flatten().collect())
}

/// One order with a card: it is shipped when it is paid, or cancelled at once, or partly paid back before it is shipped.
async fn buy(client: &Client, n: usize, fate: u32) -> Result<(String, i64)> {
    let line = json!({"sku": "TEA", "quantity": 1, "unit_price": {"amount": PRICE, "currency": "EUR"}});
    let order = json!({"lines": [line]});
    let order = client.insist("POST", "/v1/orders", Some(&format!("order-{n}")), Some(&order)).await?.expect(201)?;
    let id = order["id"].as_str().ok_or("an order has an id")?.to_owned();
    let new = json!({"order_id": id, "provider": "stripe", "payment_method": "pm_card", "capture": "automatic"});
    let payment = client.insist("POST", "/v1/payments", Some(&format!("pay-{n}")), Some(&new)).await?.expect(201)?;
    let payment = format!("/v1/payments/{}", payment["id"].as_str().ok_or("a payment has an id")?);
    match fate {
        0 => {
            ship(client, &id, n).await?;
            Ok((id, PRICE))
        }
        1 => {
            let cancel = format!("/v1/orders/{id}/cancel");
            client.insist("POST", &cancel, Some(&format!("cancel-{n}")), Some(&json!({}))).await?.expect(200)?;
            Ok((id, 0))
        }
        _ => {
            let begun = Instant::now();
            while client.get(&payment).await?["captured"] != PRICE {
                if begun.elapsed() > FOR_AN_ORDER {
                    return Err(format!("{payment} is not captured").into());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let back = json!({"amount": 100, "reason": "a broken cup"});
            client
                .insist("POST", &format!("{payment}/refund"), Some(&format!("back-{n}")), Some(&back))
                .await?
                .expect(202)?;
            ship(client, &id, n).await?;
            Ok((id, PRICE - 100))
        }
    }
}

/// Until its workflow has seen that it is paid, an order is held back.
async fn ship(client: &Client, order: &str, n: usize) -> Result<()> {
    let (path, goods) = (format!("/v1/orders/{order}/shipments"), json!({"warehouse": WAREHOUSE}));
    let begun = Instant::now();
    for attempt in 0.. {
        let key = format!("ship-{n}-{attempt}");
        if client.insist("POST", &path, Some(&key), Some(&goods)).await?.status == 201 {
            break;
        }
        if begun.elapsed() > FOR_AN_ORDER {
            return Err(format!("{path} is held back for ever").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn unexpected(payments: &[Value], orders: &Kept) -> Vec<String> {
    let kept = |payment: &Value| payment["captured"].as_i64().unwrap_or(-1) - payment["refunded"].as_i64().unwrap_or(0);
    let is_over = |payment: &Value| {
        // Of an order that is kept, the money is there; of another, it is not promised any more either.
        payment["status"] == "captured" || (payment["status"] == "voided" && payment["authorised"] == 0)
    };
    let wrong = payments.iter().filter(|payment| {
        let expected = payment["order_id"].as_str().and_then(|id| orders.get(id)).copied().unwrap_or(-1);
        kept(payment) != expected || !is_over(payment)
    });
    wrong.map(Value::to_string).collect()
}
