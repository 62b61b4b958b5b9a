//! The API over real HTTP against a real Postgres: one module per area, all in one binary, so that they
//! share one Postgres. `harness` starts it; each test has a database and a server of its own.

// A test that cannot go on should stop there and say where.
#![allow(clippy::unwrap_used)]

mod cluster;
mod harness;

mod backorders;
mod bad_input;
mod conventions;
mod events;
mod ledger;
mod openapi;
mod orders;
mod products;
mod races;
mod races_of_reservations;
mod reservations;
mod sourcing;
mod stock;
mod transfers;
mod warehouses_channels;
