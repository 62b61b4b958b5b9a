//! What reservations publish. Version 1: fields are only ever added.

use super::model::Reservation;
use crate::events::Event;

pub fn of(r#type: &'static str, reservation: &Reservation) -> Event {
    Event::new(r#type, format!("reservations/{}", reservation.id), reservation)
}
