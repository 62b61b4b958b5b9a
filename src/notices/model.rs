//! Subscriptions, who of them is told, and the lines of alerts. Pure.

use std::collections::{BTreeMap, BTreeSet};

use lettre::Address;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::events::PublishedEvent;
use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;
use crate::platform::quantity::Quantity;

/// Who wants to know when a product is there again
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com", "quantity": 2}))]
pub struct NewSubscription {
    #[schema(min_length = 3, max_length = 254, pattern = "^[!-?A-~]+@[!-?A-~]+$")]
    pub email: String,
    /// Where it will be bought; what can be sold there counts
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, nullable = false)]
    pub channel: Option<String>,
    /// How much is wanted
    #[serde(default = "one")]
    #[schema(default = 1)]
    pub quantity: Quantity,
}

fn one() -> Quantity {
    Quantity(1)
}

impl NewSubscription {
    pub fn faults(&self) -> Vec<Fault> {
        let is_address = self.email.parse::<Address>().is_ok();
        if is_address { Vec::new() } else { vec![Fault::new("/email", "not_an_address", "this is no e-mail address")] }
    }
}

/// How it stands with a subscription
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    Waiting,
    /// The product was there, and a mail was written
    Notified,
}

impl SubscriptionStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Notified => "notified",
        }
    }
}

/// Somebody who wants to know when a product is there again
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Subscription {
    pub id: Uuid,
    #[schema(example = "TEA-1")]
    pub sku: String,
    /// Left out where a call is repeated
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    pub channel: Option<String>,
    pub quantity: i64,
    /// `waiting`, or `notified` when a mail was written
    pub status: String,
    pub created_at: Timestamp,
    /// 30 days later it is deleted
    pub ended_at: Option<Timestamp>,
    /// Its place in the order in which they are served
    #[serde(skip)]
    pub seq: i64,
}

impl Subscription {
    /// As it may be kept for ever, by the audit trail: without the address.
    pub fn without_address(&self) -> Self {
        Self { email: None, ..self.clone() }
    }
}

/// Who waits, as far as it decides who is told.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: Uuid,
    pub email: String,
    pub channel: Option<String>,
    pub quantity: i64,
}

/// How much can be sold, by channel; `None` is all places.
pub type Available = BTreeMap<Option<String>, i64>;

/// Who is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Their places among those who wait
    pub places: Vec<usize>,
    /// What those are promised together, with those before
    pub promised: i64,
    /// Whether somebody has to wait on
    pub is_short: bool,
}

/// The oldest first, as many as what is available covers. `available` says how much by channel; `promised` is of those who
/// were told before and may still come for it. Who has to wait lets nobody of the same channel pass: who wants much is not served last.
pub fn tell(waiting: &[Waiting], available: &Available, mut promised: i64) -> Told {
    let (mut places, mut short) = (Vec::new(), BTreeSet::new());
    for (place, one) in waiting.iter().enumerate() {
        let there = available.get(&one.channel).copied().unwrap_or(0);
        if !short.contains(&one.channel) && promised.saturating_add(one.quantity) <= there {
            promised += one.quantity;
            places.push(place);
        } else {
            short.insert(&one.channel);
        }
    }
    Told { places, promised, is_short: !short.is_empty() }
}

/// The product of which this event says that more or less can be sold than before.
pub fn changed(event: &PublishedEvent) -> Option<&str> {
    let available = |when: &str| event.data[when]["available"].as_i64();
    let is_changed = event.r#type == "stock.level_changed" && available("after")? != available("before")?;
    if is_changed { event.data["sku"].as_str() } else { None }
}

/// What the operator is told of this event, if it is one for him.
pub fn alert(event: &PublishedEvent) -> Option<String> {
    let data = &event.data;
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let line = match event.r#type.as_str() {
        "stock.low" => format!(
            "{} in {} is low: {} available, the reorder point is {}",
            text("sku"),
            text("warehouse"),
            data["available"],
            data["reorder_point"]
        ),
        "stock.state_changed" if text("after") == "out_of_stock" => format!("{} is out of stock", text("sku")),
        "webhook.disabled" => format!("The webhook {} was disabled: {}", text("url"), text("why")),
        _ => return None,
    };
    Some(format!("{}  {line}", event.time))
}

/// Lines of an order or a shipment, as a mail has them.
pub fn lines(lines: &Value) -> String {
    let lines = lines.as_array().into_iter().flatten();
    let lines = lines.map(|line| format!("{} × {}", line["quantity"], line["sku"].as_str().unwrap_or_default()));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn waiting(all: &[(&str, i64)]) -> Vec<Waiting> {
        let one = |(channel, quantity): &(&str, i64)| Waiting {
            id: Uuid::nil(),
            email: String::new(),
            channel: (!channel.is_empty()).then(|| (*channel).to_owned()),
            quantity: *quantity,
        };
        all.iter().map(one).collect()
    }

    fn places(all: &[(&str, i64)], anywhere: i64, web: i64) -> Vec<usize> {
        let available = BTreeMap::from([(None, anywhere), (Some("web".to_owned()), web)]);
        tell(&waiting(all), &available, 0).places
    }

    #[test]
    fn the_oldest_are_told_as_far_as_it_goes() {
        let all = [("", 1), ("", 2), ("", 1)];
        for (available, told) in [(0, &[][..]), (1, &[0]), (2, &[0]), (3, &[0, 1]), (4, &[0, 1, 2])] {
            assert_eq!(places(&all, available, 0), told, "{available}");
        }
    }

    #[test]
    fn who_waits_for_a_channel_keeps_up_nobody_else() {
        assert_eq!(places(&[("web", 1), ("", 1), ("web", 1)], 5, 0), [1]);
        assert_eq!(places(&[("web", 2), ("", 3), ("", 1)], 4, 2), [0], "what is promised to one is promised once");
        let told = tell(&waiting(&[("", 2), ("", 1)]), &BTreeMap::from([(None, 5)]), 3);
        assert_eq!(told, Told { places: vec![0], promised: 5, is_short: true });
    }

    #[test]
    fn only_what_can_be_sold_is_news_for_who_waits() {
        let level = |before: i64, after: i64| {
            let data = json!({"sku": "A", "before": {"available": before}, "after": {"available": after}});
            PublishedEvent::for_test("stock.level_changed", "products/A", data)
        };
        assert_eq!(changed(&level(0, 1)), Some("A"));
        assert_eq!(changed(&level(1, 1)), None);
        assert_eq!(changed(&level(2, 1)), Some("A"));
    }

    #[test]
    fn alerts_are_of_what_runs_out_and_of_who_is_told_no_more() {
        let state = |after: &str| {
            let data = json!({"sku": "A", "before": "in_stock", "after": after});
            PublishedEvent::for_test("stock.state_changed", "products/A", data)
        };
        assert!(alert(&state("out_of_stock")).is_some_and(|line| line.ends_with("A is out of stock")));
        assert_eq!(alert(&state("backorder")), None);
    }
}
