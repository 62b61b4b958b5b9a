//! What is at risk, and what can be done about it. Pure.

use std::collections::HashMap;

use chrono::{Days, NaiveTime};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Horizon;
use crate::inventory::Alternatives;
use crate::orders::{Order, OrderLine};
use crate::payments::RunningOut;
use crate::platform::clock::Timestamp;
use crate::workflows::{StepKind, Trouble};

/// Days by which a promise that cannot be kept is put off, as a proposal.
const PUT_OFF_DAYS: u64 = 7;

/// Why an order may miss what was promised
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskKind {
    /// A line waits for stock
    StockShort,
    /// Goods are there and have not left
    ShipmentOverdue,
    /// A promise of money runs out before it is taken
    AuthorisationEnding,
    /// It is to be reviewed or paid, or it is given up
    DeadlineNear,
    /// A step of its process does not go on
    StepStuck,
}

/// What somebody can do: a call of this API
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "action": "reallocate", "description": "send 2 of TEA-1 from LEEDS", "method": "POST", "path": "/v1/orders/1001/reallocate",
    "body": {"warehouse": "LEEDS", "lines": [{"sku": "TEA-1", "quantity": 2}]}
}))]
pub struct Solution {
    #[schema(example = "reallocate")]
    pub action: &'static str,
    pub description: String,
    #[schema(example = "POST")]
    pub method: &'static str,
    pub path: String,
    #[schema(value_type = Object)]
    pub body: Value,
}

/// Something that was promised and is at risk
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Risk {
    #[schema(inline)]
    pub kind: RiskKind,
    pub detail: String,
    /// When it is due, or was
    pub due_at: Option<Timestamp>,
    /// The line that it is about
    pub order_line_id: Option<Uuid>,
    pub sku: Option<String>,
    /// The best first
    pub solutions: Vec<Solution>,
}

/// An order that will miss what was promised, unless somebody acts
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderAtRisk {
    pub order_id: Uuid,
    #[schema(example = 1001)]
    pub order_number: i64,
    pub channel: Option<String>,
    pub reference: Option<String>,
    pub placed_at: Timestamp,
    pub risks: Vec<Risk>,
}

/// What is known beside the order.
pub(super) struct Known<'a> {
    pub now: Timestamp,
    pub horizon: Horizon,
    /// By sku
    pub alternatives: &'a HashMap<String, Alternatives>,
    pub payments: &'a [RunningOut],
    pub trouble: Option<&'a Trouble>,
}

impl OrderAtRisk {
    pub(super) fn of(order: &Order, known: &Known<'_>) -> Self {
        let process = known.trouble.map(|trouble| of_process(order, trouble));
        let money = known.payments.iter().map(of_payment);
        let due = order.lines.iter().filter_map(|line| {
            let due_at = due_at(order, line, &known.horizon);
            (line.open() > 0 && due_at <= known.horizon.until).then_some((line, due_at))
        });
        let due: Vec<(&OrderLine, Timestamp)> = due.collect();
        let short = due.iter().filter(|(line, _)| line.backordered > 0);
        let short = short.map(|(line, due_at)| of_shortage(order, line, *due_at, known));
        let risks = short.chain(of_shipping(order, &due)).chain(money).chain(process);
        let head = &order.head;
        Self {
            order_id: head.id,
            order_number: head.number,
            channel: head.channel.clone(),
            reference: head.reference.clone(),
            placed_at: head.placed_at,
            risks: risks.collect(),
        }
    }
}

/// The end of the day for which the line was promised.
fn due_at(order: &Order, line: &OrderLine, horizon: &Horizon) -> Timestamp {
    let promised = line.promised_for.and_then(|day| day.checked_add_days(Days::new(1)));
    promised.map_or(order.head.placed_at.plus_seconds(horizon.ship_within_seconds), |next| {
        Timestamp(next.and_time(NaiveTime::MIN).and_utc())
    })
}

/// A line that waits for stock: from elsewhere, something else, later, or not at all.
fn of_shortage(order: &Order, line: &OrderLine, due_at: Timestamp, known: &Known<'_>) -> Risk {
    let (number, sku, short) = (order.head.number, &line.sku, line.backordered);
    let of_line = format!("/v1/orders/{number}/lines/{}", line.id);
    let mut solutions = Vec::new();
    if let Some(alternatives) = known.alternatives.get(sku) {
        let enough = |there: &&(String, i64)| there.1 >= short;
        if let Some((warehouse, _)) = alternatives.warehouses.iter().find(enough) {
            solutions.push(Solution {
                action: "reallocate",
                description: format!("send {short} of {sku} from {warehouse}"),
                method: "POST",
                path: format!("/v1/orders/{number}/reallocate"),
                body: json!({"warehouse": warehouse, "lines": [{"sku": sku, "quantity": short}]}),
            });
        }
        for (other, _) in alternatives.substitutes.iter().filter(enough) {
            solutions.push(Solution {
                action: "substitute",
                description: format!("send {short} of {other} instead, at the same price"),
                method: "POST",
                path: format!("{of_line}/substitute"),
                body: json!({"sku": other, "quantity": short}),
            });
        }
    }
    if order.head.ship_together && order.lines.iter().any(|line| line.allocated > 0) {
        solutions.push(Solution {
            action: "ship_apart",
            description: "send what is there, and the rest later".to_owned(),
            method: "PATCH",
            path: format!("/v1/orders/{number}"),
            body: json!({"ship_together": false}),
        });
    }
    let from = due_at.max(known.now).0.date_naive();
    if let Some(later) = from.checked_add_days(Days::new(PUT_OFF_DAYS)) {
        solutions.push(Solution {
            action: "put_off",
            description: format!("promise it for {later} instead"),
            method: "PATCH",
            path: of_line.clone(),
            body: json!({"promised_for": later}),
        });
    }
    solutions.push(Solution {
        action: "cancel",
        description: format!("cancel {short} of {sku}"),
        method: "POST",
        path: format!("{of_line}/cancel"),
        body: json!({"quantity": short, "reason": "not in stock"}),
    });
    Risk {
        kind: RiskKind::StockShort,
        detail: format!("{short} of {sku} wait for stock"),
        due_at: Some(due_at),
        order_line_id: Some(line.id),
        sku: Some(sku.clone()),
        solutions,
    }
}

/// Goods that are there, and could leave.
fn of_shipping(order: &Order, due: &[(&OrderLine, Timestamp)]) -> Option<Risk> {
    let ready: Vec<&(&OrderLine, Timestamp)> = due.iter().filter(|(line, _)| line.allocated > 0).collect();
    let due_at = ready.iter().map(|(_, due_at)| *due_at).min()?;
    let units: i64 = ready.iter().map(|(line, _)| line.allocated).sum();
    let mut warehouses: Vec<&str> =
        ready.iter().flat_map(|(line, _)| &line.allocations).map(|part| part.warehouse.as_str()).collect();
    warehouses.sort_unstable();
    warehouses.dedup();
    let waits = order.head.ship_together && order.lines.iter().any(|line| line.backordered > 0);
    let (detail, solutions) = match &order.head.held_for {
        Some(why) => (format!("{units} units must not leave yet: {why}"), Vec::new()),
        None if waits => (format!("{units} units wait for the rest of the order"), Vec::new()),
        None => {
            let ship = warehouses.iter().map(|warehouse| Solution {
                action: "ship",
                description: format!("send what is allocated in {warehouse}"),
                method: "POST",
                path: format!("/v1/orders/{}/shipments", order.head.number),
                body: json!({"warehouse": warehouse}),
            });
            (format!("{units} units have not left {}", warehouses.join(" and ")), ship.collect())
        }
    };
    Some(Risk {
        kind: RiskKind::ShipmentOverdue,
        detail,
        due_at: Some(due_at),
        order_line_id: None,
        sku: None,
        solutions,
    })
}

fn of_payment(payment: &RunningOut) -> Risk {
    let (left, currency) = (payment.amount, &payment.currency);
    Risk {
        kind: RiskKind::AuthorisationEnding,
        detail: format!("the promise of {left} {currency} in minor units runs out before it is taken"),
        due_at: Some(payment.expires_at),
        order_line_id: None,
        sku: None,
        solutions: vec![Solution {
            action: "capture",
            description: "take the money now".to_owned(),
            method: "POST",
            path: format!("/v1/payments/{}/capture", payment.payment_id),
            body: json!({}),
        }],
    }
}

fn of_process(order: &Order, trouble: &Trouble) -> Risk {
    let step = |action: &'static str, description: &str| Solution {
        action,
        description: description.to_owned(),
        method: "POST",
        path: format!("/v1/orders/{}/workflow/{action}", order.head.number),
        body: json!({}),
    };
    let (kind, detail, solutions) = match (&trouble.stuck, trouble.step) {
        (Some(error), _) => {
            let solutions = vec![
                step("retry", "try the step again"),
                step("skip", "go on without the step"),
                step("compensate", "cancel the order, and give its money back"),
            ];
            (RiskKind::StepStuck, error.clone(), solutions)
        }
        (None, StepKind::Review) => {
            let detail = "it waits to be reviewed, and is given up when nobody does".to_owned();
            (RiskKind::DeadlineNear, detail, vec![step("approve", "let it go on")])
        }
        (None, StepKind::Payment) => {
            let detail = "it waits to be paid, and is given up when it is not".to_owned();
            (RiskKind::DeadlineNear, detail, vec![step("skip", "let it go on without the money")])
        }
        (None, _) => (RiskKind::DeadlineNear, "its process said that it leaves by then".to_owned(), Vec::new()),
    };
    Risk { kind, detail, due_at: trouble.due_at, order_line_id: None, sku: None, solutions }
}
