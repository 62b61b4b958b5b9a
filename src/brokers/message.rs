//! What is sent of an event: a CloudEvent as JSON, the same as in the feed.

use bytes::Bytes;
use serde_json::Value;

use crate::events::{Cursor, PublishedEvent};

/// The largest message, where the broker has no smaller limit.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// The event as JSON. One that is too large for the broker goes without its `data`, and says in `dataref` where they can
/// be had (CloudEvents, Dataref): left as it is, it would hold up all that follow.
pub(super) fn payload(event: &PublishedEvent, feed: i64, limit: usize) -> Bytes {
    let whole = serde_json::to_vec(event).expect("events are plain data, and memory takes all");
    if whole.len() <= limit {
        return whole.into();
    }
    let before = Cursor { feed, position: event.position - 1 };
    let mut claim = serde_json::to_value(event).expect("events are plain data");
    if let Value::Object(members) = &mut claim {
        members.remove("data");
        members.insert("dataref".to_owned(), format!("/v1/events?after={}&limit=1", before.encode()).into());
    }
    claim.to_string().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_too_large_says_where_it_can_be_had() {
        let event = PublishedEvent {
            position: 8,
            ..PublishedEvent::for_test("order.placed", "orders/1", json!({"note": "x".repeat(500)}))
        };
        let whole: Value = serde_json::from_slice(&payload(&event, 1, 10_000)).unwrap();
        assert_eq!(whole, serde_json::to_value(&event).unwrap());
        let claim = payload(&event, 1, 400);
        assert!(claim.len() <= 400);
        let claim: Value = serde_json::from_slice(&claim).unwrap();
        let before = Cursor { feed: 1, position: 7 }.encode();
        assert_eq!(claim["dataref"], format!("/v1/events?after={before}&limit=1"));
        assert_eq!((&claim["id"], claim.get("data")), (&whole["id"], None));
    }
}
