//! What processes publish. Version 1: fields are only ever added.

use super::model::{RunStatus, WorkflowRun};
use crate::events::Event;

pub fn of(r#type: &'static str, run: &WorkflowRun) -> Event {
    Event::new(r#type, format!("orders/{}", run.order_id), run)
}

/// The news of a process that was so before; none where it is where it was.
pub fn of_change(before: &WorkflowRun, after: &WorkflowRun) -> Option<Event> {
    let r#type = match after.status {
        status if status == before.status && after.step == before.step => return None,
        RunStatus::Running => "workflow.advanced",
        RunStatus::Stuck => "workflow.stuck",
        RunStatus::Compensating => "workflow.given_up",
        RunStatus::Completed => "workflow.completed",
        RunStatus::Compensated => "workflow.compensated",
    };
    Some(of(r#type, after))
}
