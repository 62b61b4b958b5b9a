//! What can go wrong between this client and the server.

use std::time::Duration;

use super::problem::Problem;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{url}` is no address of a server: {reason}")]
    Address { url: String, reason: String },
    #[error("no API key: give --key, or set STOCKHOLD_KEY or STOCKHOLD_ADMIN_KEY")]
    NoKey,
    #[error("the HTTP client could not be made")]
    Setup(#[source] reqwest::Error),
    #[error("{call}: no answer within {waited_s} s")]
    Unreachable { call: String, waited_s: u64, source: reqwest::Error },
    #[error("{call}: {problem}")]
    Refused { call: String, problem: Box<Problem> },
    #[error("{call}: the answer could not be read")]
    Answer { call: String, source: serde_json::Error },
    #[error("{call}: the body could not be written")]
    Body { call: String, source: serde_json::Error },
}

impl Error {
    pub(super) fn refused(call: &str, problem: Problem) -> Self {
        Self::Refused { call: call.to_owned(), problem: Box::new(problem) }
    }

    pub(super) fn unreachable(call: &str, waited: Duration, source: reqwest::Error) -> Self {
        Self::Unreachable { call: call.to_owned(), waited_s: waited.as_secs(), source }
    }

    /// Whether the server refused with this problem, e.g. `already-exists`.
    pub fn is(&self, slug: &str) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.slug() == slug)
    }

    /// Whether every later call would fail in the same way.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Refused { problem, .. } => matches!(problem.status, 401 | 403 | 429 | 502..=504),
            Self::Answer { .. } | Self::Body { .. } => false,
            _ => true,
        }
    }
}
