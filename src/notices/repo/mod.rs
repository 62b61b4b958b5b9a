//! Schema `notices`: subscriptions, and the lines of alerts. Each function is a fixed number of statements.

pub mod alerts;
pub mod subscriptions;
