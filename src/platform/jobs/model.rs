//! Jobs, and what follows from how an attempt went. Pure.

use std::error::Error as StdError;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::clock::Timestamp;

/// Attempts that a job has: with the waits between them, some three days.
pub const ATTEMPTS: i32 = 80;

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(3600);

/// Of what went wrong, what is kept.
const ERROR_KEPT: usize = 1000;

/// Work to be done later.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub kind: &'static str,
    /// Of a key, only one waits: the second is not made
    pub key: Option<String>,
    pub payload: Value,
    /// How long to wait before the first attempt
    pub after: Duration,
    pub max_attempts: i32,
}

impl NewJob {
    pub fn new<T: Serialize>(kind: &'static str, payload: &T) -> Self {
        let payload = serde_json::to_value(payload).expect("payloads are plain data");
        Self { kind, key: None, payload, after: Duration::ZERO, max_attempts: ATTEMPTS }
    }
}

/// How it stands with a job
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It waits for its next attempt, or one is under way
    Pending,
    Done,
    /// It was given up: after its last attempt, or because no other could go better
    Dead,
    Cancelled,
}

impl JobStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Work that the server does beside the calls
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Job {
    pub id: Uuid,
    #[schema(example = "mail")]
    pub kind: String,
    /// Of a kind and key, one job waits at most
    pub key: Option<String>,
    /// `pending`, `done`, `dead` or `cancelled`
    pub status: String,
    /// Whether a server is at it
    pub under_way: bool,
    /// Since it was made, or tried again by hand
    pub attempts: i32,
    pub max_attempts: i32,
    /// Of the last attempt that failed
    pub last_error: Option<String>,
    /// When the next attempt is due; of one under way, when it counts as lost
    pub run_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// A job, with what it is about
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobDetail {
    #[serde(flatten)]
    pub job: Job,
    #[schema(value_type = Object)]
    pub payload: Value,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Another may go better
    #[error("{0}")]
    Again(String),
    /// None can
    #[error("{0}")]
    Final(String),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::again(&error)
    }
}

impl Failure {
    /// Another attempt may go better than one that ended with this error, which is told with what is behind it.
    pub fn again(error: &dyn StdError) -> Self {
        Self::Again(told(error))
    }

    /// No attempt can go better.
    pub fn last(error: &dyn StdError) -> Self {
        Self::Final(told(error))
    }

    /// As it is kept.
    pub(super) fn kept(&self) -> String {
        self.to_string().replace('\0', "\u{fffd}").chars().take(ERROR_KEPT).collect()
    }
}

fn told(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some tell their cause themselves.
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// How long to wait after an attempt that failed: three times as long each time, up to an hour, and up to a quarter longer
/// by chance, so that jobs do not come back in step.
pub(super) fn wait(first: Duration, attempt: i32, chance: f64) -> Duration {
    let tripled = first.saturating_mul(3u32.saturating_pow(u32::try_from(attempt - 1).unwrap_or(0)));
    tripled.min(LONGEST).mul_f64(1.0 + chance / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_an_hour() {
        let first = Duration::from_secs(5);
        let waits: Vec<u64> = (1..=8).map(|n| wait(first, n, 0.0).as_secs()).collect();
        assert_eq!(waits, [5, 15, 45, 135, 405, 1215, 3600, 3600]);
        assert_eq!(wait(first, i32::MAX, 1.0), LONGEST.mul_f64(1.25));
        let all: Duration = (1..ATTEMPTS).map(|n| wait(first, n, 0.0)).sum();
        assert!((3 * 24..4 * 24).contains(&(all.as_secs() / 3600)), "three days: {all:?}");
    }

    #[test]
    fn of_an_error_the_beginning_is_kept_as_text() {
        assert_eq!(Failure::Again("a\0".to_owned()).kept(), "a\u{fffd}");
        assert_eq!(Failure::Final("x".repeat(5000)).kept().len(), ERROR_KEPT);
        let error = std::io::Error::other(Failure::Again("no room".to_owned()));
        assert_eq!(Failure::again(&error).kept(), "no room", "what is told already is not told again");
    }
}
