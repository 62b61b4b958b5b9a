//! Endpoints, messages to them, and what follows from how they were answered. Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::events::Filter;
use crate::platform::clock::Timestamp;

/// Messages that could not be delivered for so long are given up.
pub const GIVE_UP: Duration = Duration::from_secs(3 * 24 * 3600);

/// An endpoint that takes no message for so long is disabled.
pub const DISABLE: Duration = Duration::from_secs(5 * 24 * 3600);

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// The most that an endpoint may ask to be left alone for (`Retry-After`).
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// Of an answer, what the log keeps.
const ANSWER_KEPT: usize = 1000;

/// An endpoint that is told of events
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://shop.example.com/hooks/stock", "description": "The web shop",
    "filter": {"types": ["stock.*", "order.*"]}
}))]
pub struct NewWebhook {
    /// Where messages are sent to: https, and a public address unless the operator allows its network
    #[schema(min_length = 1, max_length = 2000, pattern = "^https?://[!-~]+$")]
    pub url: String,
    #[serde(default)]
    #[schema(max_length = 200, default = "")]
    pub description: String,
    /// Which events it is told of
    #[serde(default)]
    pub filter: Filter,
    /// Whether messages are sent; those that come up meanwhile are not kept for it
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// An endpoint
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Webhook {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: NewWebhook,
    /// Why it was disabled: `by_hand`, `gone` (it answered 410), `failing` (nothing arrived for five days)
    pub disabled_why: Option<String>,
    pub disabled_at: Option<Timestamp>,
    /// Since when no message has arrived, if the last one did not
    pub failing_since: Option<Timestamp>,
    /// Until then, messages are signed with the secret before as well
    pub previous_secret_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An endpoint with its secret, which is told this once
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IssuedWebhook {
    #[serde(flatten)]
    pub webhook: Webhook,
    /// Null when the call was repeated
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", required = true)]
    pub secret: Option<String>,
}

/// A new secret: 256 bits, as Standard Webhooks writes them.
pub fn new_secret() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    format!("whsec_{}", STANDARD.encode(bytes))
}

/// How a rotation goes
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_hours": 24}))]
pub struct SecretRotation {
    /// For so long messages have signatures by both secrets
    #[serde(default = "a_day")]
    #[schema(minimum = 0, maximum = 720, default = 24)]
    pub overlap_hours: i32,
}

fn a_day() -> i32 {
    24
}

/// Which events are sent anew
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-11-23T09:00:00Z", "to": "2026-11-23T10:00:00Z"}))]
pub struct Replay {
    /// The first time, itself included
    pub from: Timestamp,
    /// The time to end before; now when left out
    #[serde(default)]
    #[schema(nullable = false)]
    pub to: Option<Timestamp>,
}

/// What a replay brings
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"deliveries": 12, "more_from": null}))]
pub struct Replayed {
    pub deliveries: u64,
    /// Where it stopped, for there was more than one call takes: replay from here for the rest
    pub more_from: Option<Timestamp>,
}

/// How a delivery stands
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It waits for its next attempt, for an earlier message of its subject, or for the endpoint to be enabled
    Pending,
    Delivered,
    /// It was given up after three days
    Failed,
}

impl DeliveryStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A message to an endpoint
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebhookDelivery {
    pub id: Uuid,
    /// Why it was made: `event`, `test`, `redelivery`, `replay`
    pub cause: String,
    /// The `webhook-id` by which the receiver tells repeated messages: the event's id
    pub message_id: Uuid,
    #[schema(example = "order.placed")]
    pub r#type: String,
    pub subject: String,
    /// `pending`, `delivered` or `failed`
    pub status: String,
    pub attempts: i32,
    pub created_at: Timestamp,
    /// When the next attempt is due
    pub due_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// A message, what was sent, and how each attempt went
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeliveryLog {
    #[serde(flatten)]
    pub delivery: WebhookDelivery,
    #[schema(value_type = Object)]
    pub body: serde_json::Value,
    pub log: Vec<Attempt>,
}

/// An attempt to deliver a message
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Attempt {
    pub n: i32,
    pub time: Timestamp,
    pub milliseconds: i32,
    /// Of the answer
    pub status: Option<i16>,
    /// Its beginning
    pub answer: Option<String>,
    /// Why there was none
    pub error: Option<String>,
}

/// How an attempt went.
#[derive(Debug, Default)]
pub struct Outcome {
    pub milliseconds: i32,
    pub status: Option<i16>,
    pub answer: Option<String>,
    pub error: Option<String>,
    /// How long the endpoint asks to be left alone
    pub retry_after: Option<Duration>,
}

impl Outcome {
    pub fn is_delivered(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// The endpoint wants no messages any more (410).
    pub fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// What the log keeps of an answer: its beginning, as far as it is text.
pub fn kept(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer).replace('\0', "\u{fffd}");
    text.chars().take(ANSWER_KEPT).collect()
}

/// How long to wait after an attempt that failed: twice as long each time, and up to a quarter longer by chance, so
/// that messages do not come back in step.
pub fn wait(first: Duration, attempt: i32, asked: Option<Duration>, chance: f64) -> Duration {
    let doubled = first.saturating_mul(2u32.saturating_pow(u32::try_from(attempt - 1).unwrap_or(0)));
    let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
    doubled.min(LONGEST).max(asked).mul_f64(1.0 + chance / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_heed_what_is_asked() {
        let first = Duration::from_secs(5);
        let waits: Vec<u64> = (1..=14).map(|n| wait(first, n, None, 0.0).as_secs()).collect();
        assert_eq!(waits[..6], [5, 10, 20, 40, 80, 160]);
        assert_eq!(waits[12..], [20480, 21600]);
        assert_eq!(wait(first, i32::MAX, None, 1.0), LONGEST.mul_f64(1.25));
        assert_eq!(wait(first, 1, Some(Duration::from_secs(60)), 0.0).as_secs(), 60);
        assert_eq!(wait(first, 1, Some(Duration::MAX), 0.0), LONGEST_ASKED);
        let attempts = (1..).scan(Duration::ZERO, |sum, n| {
            *sum += wait(first, n, None, 0.5);
            (*sum < GIVE_UP).then_some(())
        });
        assert!((18..30).contains(&attempts.count()), "some twenty attempts in three days");
    }

    #[test]
    fn only_success_is_delivered() {
        let with = |status| Outcome { status, ..Outcome::default() };
        assert!(with(Some(200)).is_delivered() && with(Some(204)).is_delivered());
        for status in [None, Some(100), Some(301), Some(302), Some(410), Some(500)] {
            assert!(!with(status).is_delivered(), "{status:?}");
        }
        assert!(with(Some(410)).is_gone());
    }

    #[test]
    fn an_answer_is_kept_as_text() {
        assert_eq!(kept(b"ok"), "ok");
        assert_eq!(kept(b"a\0\xff"), "a\u{fffd}\u{fffd}");
        assert_eq!(kept(&vec![b'x'; 5000]).len(), ANSWER_KEPT);
    }

    #[test]
    fn a_secret_is_one_of_standard_webhooks() {
        let secret = new_secret();
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(key.len(), 32);
        assert!(standardwebhooks::Webhook::new(&secret).is_ok());
    }
}
