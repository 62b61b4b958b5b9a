//! What carts publish. Version 1: fields are only ever added.

use super::model::Cart;
use crate::events::Event;

pub fn of(r#type: &'static str, cart: &Cart) -> Event {
    Event::new(r#type, format!("carts/{}", cart.id), cart)
}
