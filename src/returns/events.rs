//! What returns publish. Version 1: fields are only ever added.

use super::model::ReturnRequest;
use crate::events::Event;

pub fn of(r#type: &'static str, request: &ReturnRequest) -> Event {
    Event::new(r#type, format!("orders/{}", request.order_id), request)
}
