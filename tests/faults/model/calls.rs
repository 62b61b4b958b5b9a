//! Calls as data: what a sequence consists of, and what is sent for each.

use serde_json::{Value, json};

/// Stock is in one of these; the first can be sold.
pub const CONDITIONS: [&str; 4] = ["good", "damaged", "quality_control", "quarantined"];
pub const GOOD: usize = 0;
pub const QUARANTINED: usize = 3;

pub const DISPOSITIONS: [&str; 3] = ["restock", "quarantine", "scrap"];
pub const RESTOCK: usize = 0;
pub const QUARANTINE: usize = 1;

/// A line of a reservation or order: product, quantity, and the warehouse that it insists on.
pub type Wish = (usize, i64, Option<usize>);

/// Products, warehouses and channels are known by number; reservations, orders, transfers and an order's
/// shipments too, in the order in which they were made.
#[derive(Clone, Debug)]
pub enum Call {
    Adjust {
        sku: usize,
        warehouse: usize,
        change: i64,
        condition: usize,
    },
    SetTo {
        sku: usize,
        warehouse: usize,
        set_to: i64,
        expected: i64,
        condition: usize,
    },
    Recondition {
        sku: usize,
        warehouse: usize,
        quantity: i64,
        from: usize,
        to: usize,
    },
    Settings {
        sku: usize,
        warehouse: usize,
        safety_stock: i64,
        reorder_point: i64,
    },
    Policy {
        sku: usize,
        backorder_limit: i64,
        discontinued: bool,
    },
    Reserve(Reserve),
    Extend {
        reservation: usize,
    },
    Release {
        reservation: usize,
    },
    Order {
        lines: Vec<Wish>,
        channel: Option<usize>,
    },
    Commit {
        reservation: usize,
    },
    Cancel {
        order: usize,
    },
    Ship {
        order: usize,
        warehouse: usize,
        lines: Option<Vec<(usize, i64)>>,
    },
    Deliver {
        order: usize,
        shipment: usize,
    },
    /// Product, quantity, disposition, warehouse
    TakeBack {
        order: usize,
        lines: Vec<(usize, i64, usize, usize)>,
    },
    Transfer {
        from: usize,
        to: usize,
        lines: Vec<(usize, i64)>,
    },
    Send {
        transfer: usize,
    },
    /// Product, quantity, condition
    Receive {
        transfer: usize,
        lines: Option<Vec<(usize, i64, usize)>>,
        close: bool,
    },
    Withdraw {
        transfer: usize,
    },
    /// The same as an earlier call, under the same key
    Again {
        step: usize,
    },
    /// Something else under the key of an earlier call
    Reuse {
        step: usize,
    },
}

#[derive(Clone, Debug)]
pub struct Reserve {
    pub lines: Vec<Wish>,
    pub channel: Option<usize>,
    pub allow_partial: bool,
    pub owner: Option<usize>,
    pub replace: Option<usize>,
}

/// What things are called at the server.
#[derive(Clone, Debug)]
pub struct Names {
    pub skus: Vec<String>,
    pub warehouses: Vec<String>,
    pub channels: Vec<String>,
}

/// The ids that the server gave.
#[derive(Debug, Default)]
pub struct Ids {
    pub reservations: Vec<String>,
    pub orders: Vec<String>,
    /// Those of each order
    pub shipments: Vec<Vec<String>>,
    pub transfers: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub body: Option<Value>,
}

impl Call {
    /// What is sent; `None` for those that repeat another.
    pub fn request(&self, names: &Names, ids: &Ids) -> Option<Request> {
        let post =
            |path: String, body: Value| Some(Request { method: "POST", path: format!("/v1/{path}"), body: Some(body) });
        let patch = |path: String, body: Value| {
            Some(Request { method: "PATCH", path: format!("/v1/{path}"), body: Some(body) })
        };
        let sku = |n: usize| &names.skus[n];
        let place = |n: usize| &names.warehouses[n];
        match self {
            Self::Adjust { sku: n, warehouse, change, condition } => {
                let reason = if *change > 0 { "received" } else { "lost" };
                let body = json!({"sku": sku(*n), "warehouse": place(*warehouse), "change": change, "reason": reason, "condition": CONDITIONS[*condition]});
                post("stock/adjustments".into(), body)
            }
            Self::SetTo { sku: n, warehouse, set_to, expected, condition } => {
                let body = json!({"sku": sku(*n), "warehouse": place(*warehouse), "set_to": set_to, "expected_on_hand": expected,
                    "reason": "recount", "condition": CONDITIONS[*condition]});
                post("stock/adjustments".into(), body)
            }
            Self::Recondition { sku: n, warehouse, quantity, from, to } => {
                let body = json!({"sku": sku(*n), "warehouse": place(*warehouse), "quantity": quantity, "from": CONDITIONS[*from], "to": CONDITIONS[*to]});
                post("stock/condition-changes".into(), body)
            }
            Self::Settings { sku: n, warehouse, safety_stock, reorder_point } => {
                let body = json!({"safety_stock": safety_stock, "reorder_point": reorder_point});
                patch(format!("stock/{}/levels/{}", sku(*n), place(*warehouse)), body)
            }
            Self::Policy { sku: n, backorder_limit, discontinued } => {
                let body = json!({"availability": {"backorder_limit": backorder_limit, "discontinued": discontinued}});
                patch(format!("products/{}", sku(*n)), body)
            }
            Self::Reserve(reserve) => post("reservations".into(), reserve.body(names, ids)),
            Self::Extend { reservation } => {
                post(format!("reservations/{}/extend", ids.reservations[*reservation]), json!({"ttl_seconds": 600_000}))
            }
            Self::Release { reservation } => {
                let path = format!("/v1/reservations/{}", ids.reservations[*reservation]);
                Some(Request { method: "DELETE", path, body: None })
            }
            Self::Order { lines, channel } => post(
                "orders".into(),
                json!({"lines": wishes(lines, names), "channel": channel.map(|n| &names.channels[n])}),
            ),
            Self::Commit { reservation } => {
                post("orders".into(), json!({"reservation_id": ids.reservations[*reservation]}))
            }
            Self::Cancel { order } => post(format!("orders/{}/cancel", ids.orders[*order]), json!({})),
            Self::Ship { order, warehouse, lines } => {
                let mut body = json!({"warehouse": place(*warehouse)});
                if let Some(lines) = lines {
                    body["lines"] =
                        lines.iter().map(|(n, quantity)| json!({"sku": sku(*n), "quantity": quantity})).collect();
                }
                post(format!("orders/{}/shipments", ids.orders[*order]), body)
            }
            Self::Deliver { order, shipment } => {
                let path =
                    format!("orders/{}/shipments/{}/deliver", ids.orders[*order], ids.shipments[*order][*shipment]);
                post(path, json!({}))
            }
            Self::TakeBack { order, lines } => {
                let line = |(n, quantity, disposition, warehouse): &(usize, i64, usize, usize)| json!({"sku": sku(*n), "quantity": quantity, "disposition": DISPOSITIONS[*disposition], "warehouse": place(*warehouse)});
                post(
                    format!("orders/{}/returns", ids.orders[*order]),
                    json!({"lines": lines.iter().map(line).collect::<Value>()}),
                )
            }
            Self::Transfer { from, to, lines } => {
                let lines: Value =
                    lines.iter().map(|(n, quantity)| json!({"sku": sku(*n), "quantity": quantity})).collect();
                post("transfers".into(), json!({"from": place(*from), "to": place(*to), "lines": lines}))
            }
            Self::Send { transfer } => post(format!("transfers/{}/ship", ids.transfers[*transfer]), json!({})),
            Self::Receive { transfer, lines, close } => {
                let mut body = json!({"close": close});
                if let Some(lines) = lines {
                    let line = |(n, quantity, condition): &(usize, i64, usize)| json!({"sku": sku(*n), "quantity": quantity, "condition": CONDITIONS[*condition]});
                    body["lines"] = lines.iter().map(line).collect();
                }
                post(format!("transfers/{}/receipts", ids.transfers[*transfer]), body)
            }
            Self::Withdraw { transfer } => post(format!("transfers/{}/cancel", ids.transfers[*transfer]), json!({})),
            Self::Again { .. } | Self::Reuse { .. } => None,
        }
    }
}

impl Reserve {
    fn body(&self, names: &Names, ids: &Ids) -> Value {
        json!({
            "lines": wishes(&self.lines, names), "ttl_seconds": 500_000, "channel": self.channel.map(|n| &names.channels[n]),
            "allow_partial": self.allow_partial, "owner": self.owner.map(|n| format!("{}-owner-{n}", names.skus[0])),
            "replace": self.replace.map(|n| &ids.reservations[n]),
        })
    }
}

fn wishes(lines: &[Wish], names: &Names) -> Value {
    let line = |(sku, quantity, pin): &Wish| json!({"sku": names.skus[*sku], "quantity": quantity, "warehouse": pin.map(|n| &names.warehouses[n])});
    lines.iter().map(line).collect()
}
