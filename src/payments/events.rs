//! What payments publish. Version 1: fields are only ever added.

use super::model::Payment;
use crate::events::Event;

pub fn of(r#type: &'static str, payment: &Payment) -> Event {
    Event::new(r#type, format!("payments/{}", payment.id), payment)
}
