//! Warehouses, channels and sourcing rules.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Error;
use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;

/// Identifies a warehouse or a channel; case-sensitive
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$", min_length = 1, max_length = 32, example = "LONDON")]
pub struct Code(pub String);

/// A postal address; all parts are optional.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"line1": "12 Dock Road", "city": "London", "postal_code": "E16 1AA", "country": "GB", "latitude": 51.507, "longitude": 0.024}))]
pub struct Address {
    #[schema(max_length = 200)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line1: Option<String>,
    #[schema(max_length = 200)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    #[schema(max_length = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[schema(max_length = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[schema(max_length = 20)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2
    #[schema(pattern = "^[A-Z]{2}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Degrees north (WGS 84)
    #[schema(minimum = -90, maximum = 90)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    /// Degrees east (WGS 84)
    #[schema(minimum = -180, maximum = 180)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
}

impl Address {
    pub fn location(&self) -> Location {
        Location { country: self.country.clone(), latitude: self.latitude, longitude: self.longitude }
    }
}

/// Where goods go to or come from, as far as sourcing needs it
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"country": "GB", "latitude": 53.48, "longitude": -2.24}))]
pub struct Location {
    /// ISO 3166-1 alpha-2
    #[schema(pattern = "^[A-Z]{2}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Degrees north (WGS 84)
    #[schema(minimum = -90, maximum = 90)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    /// Degrees east (WGS 84)
    #[schema(minimum = -180, maximum = 180)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
}

impl Location {
    /// Great-circle distance in kilometres (haversine, mean earth radius), when both are on the map.
    pub fn distance_km(&self, other: &Location) -> Option<f64> {
        let (lat1, lat2) = (self.latitude?.to_radians(), other.latitude?.to_radians());
        let (lon1, lon2) = (self.longitude?.to_radians(), other.longitude?.to_radians());
        let a = ((lat2 - lat1) / 2.0).sin().powi(2) + lat1.cos() * lat2.cos() * ((lon2 - lon1) / 2.0).sin().powi(2);
        Some(2.0 * 6371.0 * a.sqrt().min(1.0).asin())
    }
}

fn default_priority() -> i32 {
    100
}

pub(super) const DEFAULT_TIME_ZONE: &str = "UTC";

fn default_time_zone() -> String {
    DEFAULT_TIME_ZONE.to_owned()
}

fn default_true() -> bool {
    true
}

/// A place that holds stock
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "LONDON", "name": "London docks", "priority": 10, "address": {"city": "London", "country": "GB", "latitude": 51.507, "longitude": 0.024}}))]
pub struct NewWarehouse {
    pub code: Code,
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Lower comes first when sourcing
    #[serde(default = "default_priority")]
    #[schema(minimum = 0, maximum = 1000, default = 100)]
    pub priority: i32,
    #[serde(default)]
    #[schema(default = json!({}))]
    pub address: Address,
    /// IANA name
    #[serde(default = "default_time_zone")]
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_+/-]+$",
        default = "UTC",
        example = "Europe/London"
    )]
    pub time_zone: String,
    /// Stock in an inactive warehouse is not for sale
    #[serde(default = "default_true")]
    #[schema(default = true)]
    pub active: bool,
}

impl NewWarehouse {
    /// `known_time_zone`: the database knows the time zone.
    pub(super) fn validate(&self, known_time_zone: bool) -> Result<(), Error> {
        let mut faults = Vec::new();
        if self.address.latitude.is_some() != self.address.longitude.is_some() {
            faults.push(Fault::new("/address/latitude", "pair", "latitude and longitude come together"));
        }
        if !known_time_zone {
            faults.push(Fault::new("/time_zone", "unknown", format!("there is no time zone {}", self.time_zone)));
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Warehouse {
    #[serde(flatten)]
    pub fields: NewWarehouse,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A warehouse that may serve a channel
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"warehouse": "LONDON", "buffer": 5}))]
pub struct ChannelWarehouse {
    pub warehouse: Code,
    /// Units of each product kept back from this channel
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64, default = 0)]
    pub buffer: i64,
}

/// One step of sourcing: how to choose among warehouses that could serve
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// In the order in which the channel lists its warehouses
    ChannelOrder,
    /// Lower priority number first
    WarehousePriority,
    /// As few different warehouses as possible
    FewestShipments,
    /// Nearest to the shipping address: by coordinates, else same country first
    Nearest,
    /// The one with the most available units of what is asked for
    MostStock,
}

impl Rule {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Rule::ChannelOrder => "channel_order",
            Rule::WarehousePriority => "warehouse_priority",
            Rule::FewestShipments => "fewest_shipments",
            Rule::Nearest => "nearest",
            Rule::MostStock => "most_stock",
        }
    }

    /// Text from our own column; what an older or newer server wrote and this one does not know is passed over.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Rule::ChannelOrder, Rule::WarehousePriority, Rule::FewestShipments, Rule::Nearest, Rule::MostStock];
        all.into_iter().find(|rule| rule.as_str() == text)
    }
}

/// The rule chain for calls whose channel has none of its own. A rule decides only where those
/// before it leave a tie
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rules": ["fewest_shipments", "channel_order", "warehouse_priority", "nearest", "most_stock"]}))]
pub struct Sourcing {
    #[schema(min_items = 1, max_items = 5)]
    pub rules: Vec<Rule>,
}

impl Sourcing {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let faults = repeated_rules(&self.rules, "/rules");
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }
}

fn repeated_rules(rules: &[Rule], pointer: &str) -> Vec<Fault> {
    let mut seen = HashSet::new();
    let repeated = rules.iter().enumerate().filter(|(_, rule)| !seen.insert(**rule));
    repeated
        .map(|(i, _)| Fault::new(format!("{pointer}/{i}"), "repeated", "this rule is in the chain already"))
        .collect()
}

/// A place that sells
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "web", "name": "Web shop", "warehouses": [{"warehouse": "LONDON", "buffer": 2}]}))]
pub struct NewChannel {
    pub code: Code,
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The warehouses that may serve it, first choice first
    #[serde(default)]
    #[schema(max_items = 100, default = json!([]))]
    pub warehouses: Vec<ChannelWarehouse>,
    /// A rule chain of its own; null uses the one of `/v1/sourcing`
    #[serde(default)]
    #[schema(min_items = 1, max_items = 5)]
    pub sourcing: Option<Vec<Rule>>,
    /// Nothing can be sold through an inactive channel
    #[serde(default = "default_true")]
    #[schema(default = true)]
    pub active: bool,
}

impl NewChannel {
    /// `missing`: the linked warehouses that do not exist.
    pub(super) fn validate(&self, missing: &[String]) -> Result<(), Error> {
        let mut faults = repeated_rules(self.sourcing.as_deref().unwrap_or_default(), "/sourcing");
        let mut seen = HashSet::new();
        for (i, link) in self.warehouses.iter().enumerate() {
            let pointer = format!("/warehouses/{i}/warehouse");
            if missing.contains(&link.warehouse.0) {
                faults.push(Fault::new(pointer, "unknown", format!("there is no warehouse {}", link.warehouse.0)));
            } else if !seen.insert(&link.warehouse) {
                faults.push(Fault::new(pointer, "repeated", "this warehouse is linked already"));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Channel {
    #[serde(flatten)]
    pub fields: NewChannel,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// All warehouses, channels and rules, at one version.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub version: i64,
    pub rules: Vec<Rule>,
    pub warehouses: Vec<Warehouse>,
    pub channels: Vec<NewChannel>,
}

/// A warehouse that may serve a call.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub code: String,
    pub priority: i32,
    /// Its place in the channel's order; 0 without a channel
    pub position: usize,
    /// Units kept back from the channel
    pub buffer: i64,
    pub location: Location,
}

/// Who may serve a call, and by which rules to choose.
#[derive(Clone, Debug)]
pub struct Scope {
    pub rules: Vec<Rule>,
    pub candidates: Vec<Candidate>,
}

impl Directory {
    pub fn warehouse(&self, code: &str) -> Option<&Warehouse> {
        self.warehouses.iter().find(|w| w.fields.code.0 == code)
    }

    pub fn is_active(&self, code: &str) -> bool {
        self.warehouse(code).is_some_and(|w| w.fields.active)
    }

    /// The active warehouses that may serve `channel`, or all active ones without a channel. `None`
    /// when there is no such channel, or it is not active.
    pub fn scope(&self, channel: Option<&str>) -> Option<Scope> {
        match channel {
            None => Some(self.scope_of_all()),
            Some(code) => self.channels.iter().find(|c| c.code.0 == code && c.active).map(|c| self.scope_of(c)),
        }
    }

    /// The same for what was promised before: a channel that no longer sells still serves its orders,
    /// and those of one that is gone are served from anywhere.
    pub fn scope_of_promises(&self, channel: Option<&str>) -> Scope {
        let channel = self.channels.iter().find(|c| channel == Some(&c.code.0));
        channel.map_or_else(|| self.scope_of_all(), |channel| self.scope_of(channel))
    }

    fn scope_of_all(&self) -> Scope {
        let active = self.warehouses.iter().filter(|w| w.fields.active);
        Scope { rules: self.rules.clone(), candidates: active.map(|w| candidate(w, 0, 0)).collect() }
    }

    fn scope_of(&self, channel: &NewChannel) -> Scope {
        let linked = channel.warehouses.iter().enumerate().filter_map(|(position, link)| {
            let warehouse = self.warehouse(&link.warehouse.0).filter(|w| w.fields.active)?;
            Some(candidate(warehouse, position, link.buffer))
        });
        let rules = channel.sourcing.clone().unwrap_or_else(|| self.rules.clone());
        Scope { rules, candidates: linked.collect() }
    }
}

fn candidate(warehouse: &Warehouse, position: usize, buffer: i64) -> Candidate {
    Candidate {
        code: warehouse.fields.code.0.clone(),
        priority: warehouse.fields.priority,
        position,
        buffer,
        location: warehouse.fields.address.location(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn london_to_manchester_is_about_260_km() {
        let london = Location { latitude: Some(51.507), longitude: Some(-0.128), country: None };
        let manchester = Location { latitude: Some(53.483), longitude: Some(-2.244), country: None };
        let distance = london.distance_km(&manchester).expect("both are on the map");
        assert!((255.0..270.0).contains(&distance), "{distance}");
        assert_eq!(london.distance_km(&Location::default()), None);
    }
}
