//! Processes of orders, and what comes next in one. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::payments::Standing;
use crate::platform::clock::Timestamp;
use crate::platform::db::text::to_text;
use crate::platform::money::Money;
use crate::platform::problem::Fault;
use crate::warehouses::Code;

/// A step is tried so often before somebody has to look at it.
pub(super) const ATTEMPTS: i32 = 3;

/// Hours until the money is due where no deadline is named.
const PAYMENT_HOURS: i64 = 24;

/// A deadline by how it is paid
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"method": "bank_transfer", "hours": 168}))]
pub struct MethodDeadline {
    /// As the payment has it
    #[schema(pattern = "^[a-z0-9_]{1,32}$")]
    pub method: String,
    #[schema(minimum = 1, maximum = 8760)]
    pub hours: i64,
}

/// What a step is about
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Somebody looks at it
    Review,
    /// The money is promised, or there
    Payment,
    /// The money is taken
    Capture,
    /// Everything leaves
    Ship,
}

/// A step of a workflow
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkflowStep, example = json!({
    "kind": "payment", "hours": 2, "deadlines": [{"method": "bank_transfer", "hours": 168}]
}))]
pub struct Step {
    #[schema(inline)]
    pub kind: StepKind,
    /// Of a `review`: orders whose total is not above this need none. Every order needs one when left out, and one of another
    /// currency, or whose total is not known
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Money>,
    /// Until it is given up, of a `review` (never when left out) and of a `payment` (24 when left out); until somebody is
    /// told, of `ship` (never when left out)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 8760)]
    pub hours: Option<i64>,
    /// Of a `payment`: other hours by how it is paid
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub deadlines: Vec<MethodDeadline>,
}

impl Step {
    pub(super) fn kind(&self) -> String {
        to_text(self.kind)
    }

    /// Why an order must not be shipped while it is at this step.
    pub(super) fn holds_for(&self) -> Option<&'static str> {
        match self.kind {
            StepKind::Review => Some("it waits to be reviewed"),
            StepKind::Payment => Some("it waits to be paid"),
            StepKind::Capture | StepKind::Ship => None,
        }
    }

    /// Hours until its deadline. The newest payment says how it is paid.
    pub(super) fn hours(&self, method: Option<&str>) -> Option<i64> {
        if self.kind != StepKind::Payment {
            return self.hours;
        }
        let named = self.deadlines.iter().find(|deadline| Some(deadline.method.as_str()) == method);
        Some(named.map_or(self.hours.unwrap_or(PAYMENT_HOURS), |deadline| deadline.hours))
    }

    /// What it says that its kind has no use for, or says twice.
    fn faults(&self, pointer: &str, faults: &mut Vec<Fault>) {
        let mut needless = |name: &str, is_there: bool, kinds: &[StepKind]| {
            if is_there && !kinds.contains(&self.kind) {
                let detail = format!("a step '{}' has no use for this", self.kind());
                faults.push(Fault::new(format!("{pointer}/{name}"), "unexpected", detail));
            }
        };
        needless("above", self.above.is_some(), &[StepKind::Review]);
        needless("hours", self.hours.is_some(), &[StepKind::Review, StepKind::Payment, StepKind::Ship]);
        needless("deadlines", !self.deadlines.is_empty(), &[StepKind::Payment]);
        for (n, deadline) in self.deadlines.iter().enumerate() {
            if self.deadlines[..n].iter().any(|other| other.method == deadline.method) {
                let detail = format!("there is a deadline of '{}' before", deadline.method);
                faults.push(Fault::new(format!("{pointer}/deadlines/{n}/method"), "repeated", detail));
            }
        }
    }
}

/// A process for orders
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Pay, then ship", "channels": ["web"],
    "steps": [
        {"kind": "review", "above": {"amount": 50000, "currency": "EUR"}},
        {"kind": "payment", "hours": 2, "deadlines": [{"method": "bank_transfer", "hours": 168}]},
        {"kind": "ship", "hours": 72},
        {"kind": "capture"},
    ],
}))]
pub struct NewWorkflow {
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Whether new orders go through it; true when left out
    pub active: Option<bool>,
    /// Whose orders go through it: those of all channels that have no other, and without a channel, when left out
    #[schema(max_items = 100)]
    pub channels: Option<Vec<Code>>,
    #[schema(min_items = 1, max_items = 4)]
    pub steps: Vec<Step>,
}

impl NewWorkflow {
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let place = |kind: StepKind| self.steps.iter().position(|step| step.kind == kind);
        for (n, step) in self.steps.iter().enumerate() {
            let pointer = format!("/steps/{n}");
            step.faults(&pointer, &mut faults);
            if place(step.kind) != Some(n) {
                faults.push(Fault::new(pointer, "repeated", format!("there is a step '{}' before", step.kind())));
            }
        }
        let mut needs = |first: StepKind, then: StepKind, detail: &str| {
            let (first, then) = (place(first), place(then));
            if let Some(then) = then.filter(|then| first.is_some_and(|first| first > *then)) {
                faults.push(Fault::new(format!("/steps/{then}"), "order", detail));
            }
        };
        use StepKind::{Capture, Payment, Review, Ship};
        needs(Payment, Capture, "what is taken has to be promised before: put 'payment' first");
        needs(Payment, Ship, "an order that left waits for nothing: put 'payment' before 'ship'");
        needs(Review, Ship, "an order that left waits for nothing: put 'review' before 'ship'");
        needs(Review, Capture, "money is taken after the review: put 'review' before 'capture'");
        if let (Some(capture), None) = (place(Capture), place(Payment)) {
            let detail = "what is taken has to be promised before: there is no step 'payment'";
            faults.push(Fault::new(format!("/steps/{capture}"), "order", detail));
        }
        let channels = self.channels.as_deref().unwrap_or_default();
        for (n, channel) in channels.iter().enumerate() {
            if channels[..n].contains(channel) {
                faults.push(Fault::new(format!("/channels/{n}"), "repeated", "this channel is named before"));
            }
        }
        faults
    }
}

/// A process for orders, as it is kept
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "standard", "name": "Pay, then ship", "active": true, "channels": ["web"],
    "steps": [
        {"kind": "payment", "hours": 2, "deadlines": [{"method": "bank_transfer", "hours": 168}]},
        {"kind": "ship", "hours": 72}, {"kind": "capture"},
    ],
    "created_at": "2026-11-23T09:30:00.000Z", "updated_at": "2026-11-23T09:30:00.000Z"
}))]
pub struct Workflow {
    pub code: String,
    pub name: String,
    pub active: bool,
    /// None: those of all channels that have no other, and without a channel
    pub channels: Vec<Code>,
    pub steps: Vec<Step>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How an order's process stands
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Running,
    /// A step failed: retry it, skip it, or give the order up
    Stuck,
    /// It is given up: the order is cancelled, and its money goes back
    Compensating,
    Completed,
    Compensated,
}

/// An order on its way through a process
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "order_number": 1001, "channel": "web", "workflow": "standard",
    "status": "running", "step": 0, "steps": [{"kind": "payment", "hours": 2}, {"kind": "ship", "hours": 72}],
    "since": "2026-11-23T09:30:00.000Z", "attempts": 0, "due_at": "2026-11-23T11:30:00.000Z", "error": null,
    "started_at": "2026-11-23T09:30:00.000Z", "ended_at": null,
}))]
pub struct WorkflowRun {
    pub order_id: Uuid,
    #[schema(example = 1001)]
    pub order_number: i64,
    pub channel: Option<String>,
    /// The code of its definition, of which it keeps the steps as they were
    #[schema(example = "standard")]
    pub workflow: String,
    pub status: RunStatus,
    /// The place of its step among the steps, from 0
    #[schema(example = 0)]
    pub step: i32,
    pub steps: Vec<Step>,
    /// When its step began
    pub since: Timestamp,
    /// How often the step was tried
    pub attempts: i32,
    /// The step's deadline
    pub due_at: Option<Timestamp>,
    /// Why it is stuck, or was given up
    pub error: Option<String>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    #[serde(skip)]
    pub approved: bool,
}

/// Why somebody should look at a process.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub order_id: Uuid,
    pub step: StepKind,
    /// Why it does not go on; none where only its time runs out
    pub stuck: Option<String>,
    pub due_at: Option<Timestamp>,
}

impl WorkflowRun {
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let is_stuck = self.status == RunStatus::Stuck;
        let stuck = is_stuck.then(|| self.error.clone().unwrap_or_default());
        Some(Trouble { order_id: self.order_id, step: self.current()?.kind, stuck, due_at: self.due_at })
    }

    pub(super) fn current(&self) -> Option<&Step> {
        self.steps.get(usize::try_from(self.step).ok()?)
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.status, RunStatus::Completed | RunStatus::Compensated)
    }
}

/// What is known of an order when the next step is thought of.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub now: Timestamp,
    /// Units neither shipped nor cancelled
    pub open: i64,
    pub total: Option<Money>,
    pub money: Standing,
}

/// What is to be done about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Done,
    /// Something has to happen first; look again then at the latest
    Waits(Option<Timestamp>),
    /// Take so much of these payments
    Take(Vec<(Uuid, i64)>),
    Stuck(String),
    GiveUp(String),
    /// Its deadline has passed, and somebody is told
    Overdue,
}

/// What the order's present step needs.
pub(super) fn next(run: &WorkflowRun, facts: &Facts) -> Next {
    let Some(step) = run.current() else { return Next::Done };
    let due_at = step.hours(facts.money.method.as_deref()).map(|hours| run.since.plus_seconds(hours * 3600));
    let is_due = due_at.is_some_and(|at| at <= facts.now);
    match step.kind {
        StepKind::Review => match (run.approved || !is_above(facts.total.as_ref(), step.above.as_ref()), is_due) {
            (true, _) => Next::Done,
            (false, true) => Next::GiveUp("nobody reviewed it in time".to_owned()),
            (false, false) => Next::Waits(due_at),
        },
        StepKind::Payment => match &facts.total {
            None => Next::Stuck("not every line has a price, so what is to be paid is not known".to_owned()),
            Some(total) if facts.money.promised >= total.amount => Next::Done,
            Some(_) if is_due => Next::GiveUp("it was not paid in time".to_owned()),
            Some(_) => Next::Waits(due_at),
        },
        StepKind::Capture => take(run, facts),
        StepKind::Ship if facts.open == 0 => Next::Done,
        StepKind::Ship if is_due && run.attempts == 0 => Next::Overdue,
        StepKind::Ship => Next::Waits(due_at.filter(|_| !is_due)),
    }
}

fn take(run: &WorkflowRun, facts: &Facts) -> Next {
    let Some(total) = &facts.total else {
        return Next::Stuck("not every line has a price, so what is to be paid is not known".to_owned());
    };
    let mut left = total.amount - facts.money.taken;
    if left <= 0 {
        return Next::Done;
    }
    // Providers tell how it ended; should nobody tell, it is looked at.
    if facts.money.is_under_way {
        return Next::Waits(Some(facts.now.plus_seconds(30)));
    }
    let parts = facts.money.to_take.iter().map(|(payment, most)| {
        let part = (*most).min(left);
        left -= part;
        (*payment, part)
    });
    let parts: Vec<(Uuid, i64)> = parts.filter(|(_, part)| *part > 0).collect();
    if parts.is_empty() && facts.money.waits_for_word {
        return Next::Waits(None);
    }
    match (parts.is_empty(), run.attempts < ATTEMPTS) {
        (false, true) => Next::Take(parts),
        (false, false) => Next::Stuck(format!("the money could not be taken, {ATTEMPTS} times")),
        (true, _) => Next::Stuck(format!("{left} {} are to be taken, and nothing is promised", total.currency)),
    }
}

/// An amount of another currency, or that is not known, may be above any.
fn is_above(total: Option<&Money>, above: Option<&Money>) -> bool {
    match (total, above) {
        (Some(total), Some(above)) if total.currency == above.currency => total.amount > above.amount,
        _ => true,
    }
}

/// Something that happened to an order
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "at": "2026-11-23T09:30:00.000Z", "kind": "payment", "what": "done", "attempt": 0, "detail": null, "actor": null
}))]
pub struct TimelineEntry {
    pub at: Timestamp,
    /// The step, or `payment.capture` and the like for what a provider was asked
    #[schema(example = "payment")]
    pub kind: String,
    /// `started`, `tried`, `done`, `failed`, `approved`, `retried`, `skipped`, `given_up`, `overdue`, or how an operation of a
    /// payment stands
    #[schema(example = "done")]
    pub what: String,
    /// Which attempt it was, from 1; 0 where nothing was tried
    pub attempt: i32,
    /// Why
    pub detail: Option<String>,
    /// Who acted; null where it was the server
    pub actor: Option<String>,
}

/// What happened to an order, the oldest first
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// Its process, where it goes through one
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowRun>,
    #[schema(max_items = 10_000)]
    pub entries: Vec<TimelineEntry>,
}

/// Why somebody decides
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the customer called"}))]
pub struct Decision {
    #[schema(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
}
