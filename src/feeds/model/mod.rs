//! Sources, what they report, and what is made of it. Pure.

pub(super) mod decide;
pub(super) mod discrepancy;
pub(super) mod report;
pub(super) mod source;
