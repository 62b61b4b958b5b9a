//! Entities and decisions: pure, no I/O.

pub mod book;
pub mod explain;
pub mod level;
pub mod place;
pub mod product;
pub mod sourcing;
pub mod state;
pub mod views;
