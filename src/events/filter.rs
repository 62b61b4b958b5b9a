//! Which events a reader wants. The same for all who read: the feed, its streams, webhooks, brokers. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::PublishedEvent;

/// What is asked for, each a list separated by commas; left out, everything is.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FilterQuery {
    /// Only these event types, separated by commas; `stock.*` is all that begin so
    #[param(max_length = 1000, example = "stock.level_changed,order.*")]
    pub r#type: Option<String>,
    /// Only events of subjects that begin so
    #[param(max_length = 200, example = "products/")]
    pub subject: Option<String>,
    /// Only events that have to do with one of these warehouses, separated by commas
    #[param(max_length = 1000, example = "LONDON")]
    pub warehouse: Option<String>,
    /// Only events that have to do with one of these channels, separated by commas
    #[param(max_length = 1000, example = "web")]
    pub channel: Option<String>,
}

impl From<FilterQuery> for Filter {
    fn from(query: FilterQuery) -> Self {
        let list = |text: Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.split(',')).map(|one| one.trim().to_owned()).collect()
        };
        Self {
            types: list(query.r#type),
            subjects: query.subject.into_iter().collect(),
            warehouses: list(query.warehouse),
            channels: list(query.channel),
        }
    }
}

/// Which events are wanted; an empty list is all
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"types": ["order.*"], "channels": ["web"]}))]
pub struct Filter {
    /// Event types; `stock.*` is all that begin so
    #[schema(max_items = 50, value_type = Vec<Wanted>)]
    pub types: Vec<String>,
    /// How subjects begin
    #[schema(max_items = 50, value_type = Vec<Wanted>)]
    pub subjects: Vec<String>,
    /// Codes of warehouses that the event has to do with
    #[schema(max_items = 50, value_type = Vec<Wanted>)]
    pub warehouses: Vec<String>,
    /// Codes of channels that the event has to do with
    #[schema(max_items = 50, value_type = Vec<Wanted>)]
    pub channels: Vec<String>,
}

/// One of the things that a filter names; for the document
#[derive(ToSchema)]
#[schema(max_length = 200, min_length = 1)]
#[allow(dead_code)]
struct Wanted(String);

impl Filter {
    /// Whether everything is wanted.
    pub fn is_open(&self) -> bool {
        let Self { types, subjects, warehouses, channels } = self;
        [types, subjects, warehouses, channels].into_iter().all(Vec::is_empty)
    }

    pub fn wants(&self, event: &PublishedEvent) -> bool {
        let Self { types, subjects, warehouses, channels } = self;
        let is_type = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => event.r#type.starts_with(beginning),
            None => event.r#type == *wanted,
        };
        let named = |wanted: &[String], keys: &[&str]| {
            wanted.is_empty() || {
                let mut found = BTreeSet::new();
                names(&event.data, keys, &mut found);
                wanted.iter().any(|name| found.contains(name.as_str()))
            }
        };
        (types.is_empty() || types.iter().any(is_type))
            && (subjects.is_empty() || subjects.iter().any(|beginning| event.subject.starts_with(beginning)))
            && named(warehouses, places(&event.r#type))
            && named(channels, if event.r#type.starts_with("channel.") { &["code"] } else { &["channel"] })
    }
}

/// Under which names an event's data speak of warehouses.
fn places(r#type: &str) -> &'static [&'static str] {
    match r#type.split('.').next() {
        Some("transfer") => &["from", "to"],
        Some("warehouse") => &["code"],
        _ => &["warehouse"],
    }
}

/// The texts that stand under one of these names, however deep.
fn names<'a>(data: &'a Value, keys: &[&str], found: &mut BTreeSet<&'a str>) {
    match data {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if keys.contains(&key.as_str()) => _ = found.insert(text),
                    other => names(other, keys, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, keys, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(r#type: &str, subject: &str, data: Value) -> PublishedEvent {
        PublishedEvent::for_test(r#type, subject, data)
    }

    fn filter(r#type: &str, subject: &str, warehouse: &str, channel: &str) -> Filter {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        FilterQuery { r#type: some(r#type), subject: some(subject), warehouse: some(warehouse), channel: some(channel) }
            .into()
    }

    #[test]
    fn types_are_named_or_begin_so() {
        let changed = event("stock.level_changed", "products/A", json!({"warehouse": "LONDON"}));
        for (types, wanted) in [
            ("", true),
            ("stock.level_changed", true),
            ("order.placed, stock.level_changed", true),
            ("stock.*", true),
            ("*", true),
            ("stock", false),
            ("order.*", false),
        ] {
            assert_eq!(filter(types, "", "", "").wants(&changed), wanted, "{types}");
        }
        assert!(filter("", "products/", "", "").wants(&changed));
        assert!(!filter("", "products/B", "", "").wants(&changed));
        assert!(filter("", "", "", "").is_open());
    }

    #[test]
    fn places_are_found_however_deep() {
        let order = event(
            "order.placed",
            "orders/1",
            json!({"channel": "web", "lines": [{"allocations": [{"warehouse": "A"}, {"warehouse": "B"}]}]}),
        );
        assert!(filter("", "", "B", "web").wants(&order));
        assert!(!filter("", "", "C", "").wants(&order));
        assert!(!filter("", "", "B", "till").wants(&order));
        let transfer = event("transfer.shipped", "transfers/1", json!({"from": "A", "to": "B", "reference": "C"}));
        assert!(filter("", "", "B", "").wants(&transfer));
        assert!(!filter("", "", "C", "").wants(&transfer));
        assert!(filter("", "", "A", "").wants(&event("warehouse.created", "warehouses/A", json!({"code": "A"}))));
        assert!(filter("", "", "", "web").wants(&event("channel.deleted", "channels/web", json!({"code": "web"}))));
    }
}
