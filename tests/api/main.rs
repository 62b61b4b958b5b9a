//! The API over real HTTP against a real Postgres: one module per area, all in one binary, so that they
//! share one Postgres. `harness` starts it; each test has a database and a server of its own.

// A test that cannot go on should stop there and say where.
#![allow(clippy::unwrap_used)]

mod cluster;
mod harness;

mod access;
mod asyncapi;
mod at_risk;
mod audit;
mod backorders;
mod bad_input;
mod carriers;
mod carts;
mod changes;
mod conventions;
mod customers;
mod dropped_futures;
mod events;
mod events_live;
mod feeds;
mod imports;
mod intake;
mod jobs;
mod keys;
mod labels;
mod ledger;
mod limits;
mod notices;
mod oidc;
mod openapi;
mod orders;
mod payments;
mod plans;
mod products;
mod races;
mod races_of_reservations;
mod reservations;
mod return_requests;
mod sourcing;
mod stock;
mod tls;
mod together;
mod transfers;
mod users;
mod warehouses_channels;
mod webhooks;
mod workflows;
mod writes;
