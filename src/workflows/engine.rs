//! How an order is brought forward: as far as it goes, in one transaction under the lock of its row. What takes time is asked
//! of others, who do it durably, and whose news brings it further.

use sqlx::PgConnection;

use super::model::{Facts, Next, RunStatus, Step, TimelineEntry, WorkflowRun, next};
use super::{Result, Workflows, events, repo};
use crate::events::Events;
use crate::orders::{Order, OrderStatus};
use crate::platform::clock::Timestamp;

/// What a process that is given up waits for is looked at so often, should nobody tell.
const LOOK_SECONDS: i64 = 60;

/// Of what went wrong, what is kept.
const ERROR_KEPT: usize = 1000;

impl Workflows {
    /// Begins the process that orders of this kind go through, if there is one. The order is locked.
    pub(super) async fn begin_in_tx(&self, conn: &mut PgConnection, order: &Order) -> Result<Option<WorkflowRun>> {
        let found = repo::for_channel(conn, order.head.channel.as_deref()).await?;
        // News may be read late: of orders that were there before it.
        let Some(found) = found.filter(|found| found.created_at <= order.head.created_at) else { return Ok(None) };
        let now = repo::clock(conn).await?;
        let run = WorkflowRun {
            order_id: order.head.id,
            order_number: order.head.number,
            channel: order.head.channel.clone(),
            workflow: found.code,
            status: RunStatus::Running,
            step: 0,
            steps: found.steps,
            since: now,
            attempts: 0,
            due_at: None,
            error: None,
            started_at: now,
            ended_at: None,
            approved: false,
        };
        repo::insert_run(conn, &run).await?;
        note(conn, &run, "started", None, None).await?;
        Events::publish_in_tx(conn, &[events::of("workflow.started", &run)]).await?;
        Ok(Some(run))
    }

    /// Brings an order as far as it goes from here, and tells how that differs from how it was written down before. It is
    /// locked, and may be cancelled by this.
    pub(super) async fn advance_in_tx(
        &self,
        conn: &mut PgConnection,
        mut order: Order,
        mut before: WorkflowRun,
        mut run: WorkflowRun,
    ) -> Result<WorkflowRun> {
        loop {
            let mut wake_at = None;
            let facts = self.facts(conn, &order).await?;
            if !run.is_over() && order.head.status == OrderStatus::Cancelled && run.status != RunStatus::Compensating {
                note(conn, &run, "given_up", Some("the order was cancelled"), None).await?;
                (run.status, run.error) = (RunStatus::Compensating, Some("the order was cancelled".to_owned()));
            }
            let goes_on = match run.status {
                RunStatus::Running => self.step_in_tx(conn, &order, &mut run, &facts, &mut wake_at).await?,
                RunStatus::Compensating => {
                    let (goes_on, changed) = self.compensate_in_tx(conn, order, &mut run, &facts).await?;
                    order = changed;
                    wake_at = Some(facts.now.plus_seconds(LOOK_SECONDS));
                    goes_on
                }
                RunStatus::Stuck | RunStatus::Completed | RunStatus::Compensated => false,
            };
            let held_for = if run.is_over() { None } else { run.current().and_then(Step::holds_for) };
            self.orders.hold_back_in_tx(conn, run.order_id, held_for).await?;
            let hours = run.current().and_then(|step| step.hours(facts.money.method.as_deref()));
            let is_waiting = run.status == RunStatus::Running;
            run.due_at = hours.filter(|_| is_waiting).map(|hours| run.since.plus_seconds(hours * 3600));
            repo::save_run(conn, &run, wake_at.filter(|_| !run.is_over())).await?;
            Events::publish_in_tx(conn, events::of_change(&before, &run).as_slice()).await?;
            if !goes_on || run.is_over() {
                return Ok(run);
            }
            before = run.clone();
        }
    }

    async fn facts(&self, conn: &mut PgConnection, order: &Order) -> Result<Facts> {
        Ok(Facts {
            now: repo::clock(conn).await?,
            open: order.open(),
            total: order.total.clone(),
            money: self.payments.standing(conn, order.head.id).await?,
        })
    }

    /// Says whether there may be more to do at once.
    async fn step_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        run: &mut WorkflowRun,
        facts: &Facts,
        wake_at: &mut Option<Timestamp>,
    ) -> Result<bool> {
        match next(run, facts) {
            Next::Done => {
                note(conn, run, "done", None, None).await?;
                self.go_on_in_tx(conn, run, facts.now).await?;
                return Ok(true);
            }
            Next::Waits(until) => *wake_at = until,
            Next::Take(parts) => {
                run.attempts += 1;
                note(conn, run, "tried", None, None).await?;
                for (payment, amount) in parts {
                    self.payments.take_in_tx(conn, order, payment, amount).await?;
                }
                return Ok(true);
            }
            Next::Overdue => {
                run.attempts += 1;
                note(conn, run, "overdue", None, None).await?;
                self.orders.flag_in_tx(conn, run.order_id, "it has not left in time").await?;
                return Ok(true);
            }
            Next::Stuck(why) => {
                note(conn, run, "failed", Some(&why), None).await?;
                self.orders.flag_in_tx(conn, run.order_id, &why).await?;
                (run.status, run.error) = (RunStatus::Stuck, Some(why));
            }
            Next::GiveUp(why) => {
                note(conn, run, "given_up", Some(&why), None).await?;
                (run.status, run.error) = (RunStatus::Compensating, Some(why));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes on to the next step.
    pub(super) async fn go_on_in_tx(
        &self,
        conn: &mut PgConnection,
        run: &mut WorkflowRun,
        now: Timestamp,
    ) -> Result<()> {
        (run.step, run.since, run.attempts, run.approved) = (run.step + 1, now, 0, false);
        (run.status, run.error) = (RunStatus::Running, None);
        if run.current().is_none() {
            (run.status, run.ended_at) = (RunStatus::Completed, Some(now));
            return Ok(());
        }
        note(conn, run, "started", None, None).await
    }

    /// Cancels what has not left. What is promised or was taken for an order that is cancelled as a whole is given back by
    /// payments; it is over when nothing of it is left.
    async fn compensate_in_tx(
        &self,
        conn: &mut PgConnection,
        order: Order,
        run: &mut WorkflowRun,
        facts: &Facts,
    ) -> Result<(bool, Order)> {
        if order.open() > 0 {
            let order = self.orders.cancel_in_tx(conn, &order, run.error.as_deref()).await?;
            return Ok((true, order));
        }
        let is_whole = order.head.status == OrderStatus::Cancelled;
        if is_whole && (facts.money.held > 0 || facts.money.is_under_way) {
            return Ok((false, order));
        }
        if !is_whole {
            let told = "it was given up when a part had left: see to what is to be paid for that";
            self.orders.flag_in_tx(conn, run.order_id, told).await?;
        }
        (run.status, run.ended_at) = (RunStatus::Compensated, Some(facts.now));
        Ok((false, order))
    }
}

/// Writes down what happened to the present step, and who did it.
pub(super) async fn note(
    conn: &mut PgConnection,
    run: &WorkflowRun,
    what: &str,
    detail: Option<&str>,
    actor: Option<&str>,
) -> Result<()> {
    let entry = TimelineEntry {
        at: run.since,
        kind: run.current().map(Step::kind).unwrap_or_default(),
        what: what.to_owned(),
        attempt: run.attempts,
        detail: detail.map(|detail| detail.chars().take(ERROR_KEPT).collect()),
        actor: actor.map(str::to_owned),
    };
    Ok(repo::log(conn, run.order_id, &entry).await?)
}
