//! Where the demo's shop keeps its goods and where it sells. The addresses are made up.

use serde_json::{Value, json};

/// The warehouse that is made first: the time of its making is the demo's today.
pub const FIRST_WAREHOUSE: &str = "LON";
pub const SECOND_WAREHOUSE: &str = "MAN";

pub fn warehouses() -> [(&'static str, Value); 3] {
    let london = json!({"code": FIRST_WAREHOUSE, "name": "London Park Royal", "priority": 10, "time_zone": "Europe/London",
        "address": {"line1": "Unit 7, Abbey Trade Park", "line2": "Park Royal", "city": "London", "postal_code": "NW10 7XF",
            "country": "GB", "latitude": 51.5326, "longitude": -0.2732}});
    let manchester = json!({"code": SECOND_WAREHOUSE, "name": "Manchester Trafford", "priority": 20, "time_zone": "Europe/London",
        "address": {"line1": "14 Wharfside Yard", "line2": "Trafford Park", "city": "Manchester", "postal_code": "M17 1HH",
            "country": "GB", "latitude": 53.4673, "longitude": -2.3128}});
    let rotterdam = json!({"code": "RTM", "name": "Rotterdam Waalhaven", "priority": 30, "time_zone": "Europe/Amsterdam",
        "address": {"line1": "Sluisjesdijk 121", "city": "Rotterdam", "postal_code": "3087 AE", "country": "NL",
            "latitude": 51.8969, "longitude": 4.4614}});
    [(FIRST_WAREHOUSE, london), (SECOND_WAREHOUSE, manchester), ("RTM", rotterdam)]
}

pub const WEB: &str = "WEB";
/// Its orders are placed elsewhere, and taken over.
pub const MARKET: &str = "MARKET";
/// Its orders go through a workflow.
pub const TRADE: &str = "TRADE";

pub fn channels() -> [(&'static str, Value); 3] {
    let web = json!({"code": WEB, "name": "Web shop",
        "warehouses": [{"warehouse": "LON"}, {"warehouse": "MAN"}, {"warehouse": "RTM"}]});
    let market = json!({"code": MARKET, "name": "Marketplace",
        "warehouses": [{"warehouse": "LON", "buffer": 3}, {"warehouse": "RTM", "buffer": 5}]});
    let trade =
        json!({"code": TRADE, "name": "Trade customers", "warehouses": [{"warehouse": "LON"}, {"warehouse": "MAN"}]});
    [(WEB, web), (MARKET, market), (TRADE, trade)]
}
