//! What this module publishes. Version 1: fields are only ever added.
//!
//! A change here can change what is available of every product; followers of stock that care read it
//! anew when they see one.

use serde::Serialize;

use super::model::{Channel, Warehouse};
use crate::events::Event;

pub trait Subject: Serialize {
    fn code(&self) -> &str;
}

impl Subject for Warehouse {
    fn code(&self) -> &str {
        &self.fields.code.0
    }
}

impl Subject for Channel {
    fn code(&self) -> &str {
        &self.fields.code.0
    }
}

/// Something that was deleted.
#[derive(Serialize)]
pub struct Gone {
    pub code: String,
}

impl Subject for Gone {
    fn code(&self) -> &str {
        &self.code
    }
}

/// `kind` begins with what the subject is: `warehouse.created`, `channel.deleted`.
pub fn of<T: Subject>(kind: &'static str, subject: &T) -> Event {
    let thing = kind.split('.').next().unwrap_or(kind);
    Event::new(kind, format!("{thing}s/{}", subject.code()), subject)
}
