//! Schema `webhooks`: endpoints, and the messages to them. Each function is a fixed number of statements.

pub mod deliveries;
pub mod endpoints;
