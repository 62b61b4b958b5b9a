//! stockhold: inventory, warehouses, reservations and orders in one binary, on Postgres.
//!
//! # Codemap
//! Data flows down a one-way stair, and news goes up through the outbox:
//!
//! ```text
//! cli → app → ops, webhooks, notices, brokers, carriers, returns, at_risk → workflows, imports → payments
//!              ↓
//!            carts → orders → reservations → inventory → warehouses → platform
//!                transfers, feeds ↗
//! ```
//!
//! - [`app`] builds the modules in order and merges their routers; [`cli`] has a file per subcommand.
//! - [`carts`], [`orders`], [`customers`], [`reservations`], [`transfers`], [`feeds`], [`inventory`], [`warehouses`]: the domain. Each owns
//!   one Postgres schema of its own name; `repo` holds all its SQL, `model` its decisions, `http` its endpoints.
//! - [`access`] and [`events`] serve all of them: who calls, and what happened; [`webhooks`] tells others
//!   of it, and [`notices`] writes mails.
//! - [`carriers`] prints and buys labels, knows where shipments are, and shows it to customers; [`payments`] knows who paid what, and
//!   [`workflows`] brings orders from step to step; [`imports`] takes over those that were placed elsewhere;
//!   [`returns`] are asked for before they come; [`at_risk`] tells of orders that will miss what was promised.
//! - [`brokers`] brings what happened to NATS and MQTT.
//! - [`platform`] knows nothing of the domain.
//!
//! **Invariant:** nothing oversells. A product's row is locked before any of its levels, holds,
//! allocations or backorders changes, products in the order of their sku; a CHECK on the level is the last guard.
//!
//! **Invariant:** effect, ledger row, event and idempotency record commit in one transaction, or not at all.
//!
//! **Invariant:** no network call happens inside a database transaction.
//!
//! ARCHITECTURE.md tells the rest; `tests/architecture.rs` enforces it.

pub mod access;
pub mod app;
pub mod asyncapi;
pub mod at_risk;
pub mod brokers;
pub mod carriers;
pub mod carts;
pub mod cli;
pub mod config;
pub mod customers;
pub mod events;
pub mod feeds;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod imports;
pub mod inventory;
pub mod lifecycle;
pub mod notices;
pub mod openapi;
pub mod ops;
pub mod orders;
pub mod payments;
pub mod platform;
pub mod reservations;
pub mod returns;
pub mod telemetry;
pub mod transfers;
pub mod warehouses;
pub mod webhooks;
pub mod workflows;
