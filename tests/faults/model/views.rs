//! How the shop looks from outside: what an answer has to contain.

use serde_json::{Value, json};

use super::calls::{CONDITIONS, GOOD, Names};
use super::shop::{INACTIVE, Journey, Life, OrderLine, Shop};
use super::sourcing::Served;

pub fn life(life: Life) -> &'static str {
    match life {
        Life::Active => "active",
        Life::Released => "released",
        Life::Committed => "committed",
    }
}

fn journey(journey: Journey) -> &'static str {
    match journey {
        Journey::Draft => "draft",
        Journey::InTransit => "in_transit",
        Journey::Received => "received",
        Journey::Cancelled => "cancelled",
    }
}

/// Quantities of a product, in one warehouse or summed up.
fn quantities(shop: &Shop, sku: usize, warehouses: &[(usize, i64)]) -> Value {
    let sum = |of: &dyn Fn(usize) -> i64| warehouses.iter().map(|(n, _)| of(*n)).sum::<i64>();
    let in_condition = |condition: usize| sum(&|n| shop.level(sku, n).stock[condition]);
    let unavailable_by: serde_json::Map<String, Value> =
        (GOOD + 1..CONDITIONS.len()).map(|n| (CONDITIONS[n].to_owned(), in_condition(n).into())).collect();
    json!({
        "on_hand": sum(&|n| shop.level(sku, n).on_hand()),
        "unavailable": sum(&|n| shop.level(sku, n).on_hand() - shop.level(sku, n).stock[GOOD]),
        "unavailable_by": unavailable_by,
        "reserved": sum(&|n| shop.reserved(sku, n)),
        "allocated": sum(&|n| shop.allocated(sku, n)),
        "safety_stock": sum(&|n| shop.level(sku, n).safety_stock),
        "incoming": sum(&|n| shop.incoming(sku, n)),
        "reorder_point": sum(&|n| shop.level(sku, n).reorder_point),
        "available": warehouses.iter().map(|(n, buffer)| shop.for_sale(sku, *n, *buffer)).sum::<i64>(),
    })
}

/// A level, with a channel's buffer taken off.
pub fn level(shop: &Shop, names: &Names, sku: usize, warehouse: usize, buffer: Option<i64>) -> Value {
    let mut level = quantities(shop, sku, &[(warehouse, buffer.unwrap_or(0))]);
    level["warehouse"] = names.warehouses[warehouse].clone().into();
    level
}

/// The stock of a product: everywhere, or as a channel sees it. Levels without anything are left out.
pub fn stock(shop: &Shop, names: &Names, sku: usize, channel: Option<usize>) -> Value {
    let mut warehouses = Shop::scope(channel);
    if channel.is_none() {
        warehouses.push((INACTIVE, 0));
    }
    let mut stock = quantities(shop, sku, &warehouses);
    let mut levels: Vec<Value> =
        warehouses.iter().map(|(n, buffer)| level(shop, names, sku, *n, Some(*buffer))).collect();
    levels.retain(has_any);
    levels.sort_by_key(|it| it["warehouse"].as_str().map(str::to_owned));
    stock["warehouses"] = levels.into();
    stock["sku"] = names.skus[sku].clone().into();
    stock["state"] = shop.state(sku, channel).into();
    stock["backordered"] = shop.beyond(sku).into();
    stock
}

/// Whether any quantity of a level is other than 0.
pub fn has_any(level: &Value) -> bool {
    level.as_object().is_some_and(|it| it.values().any(|value| value.as_i64().is_some_and(|quantity| quantity != 0)))
}

fn allocations(served: &Served, names: &Names) -> Value {
    let part = |(warehouse, quantity): (&usize, &i64)| json!({"warehouse": names.warehouses[*warehouse], "quantity": quantity});
    served.parts.iter().map(part).collect()
}

pub fn reservation(shop: &Shop, names: &Names, n: usize) -> Value {
    let reservation = &shop.reservations[n];
    let line = |((sku, requested, _), served): &((usize, i64, Option<usize>), Served)| {
        json!({
            "sku": names.skus[*sku], "quantity": served.quantity(), "requested": requested,
            "allocations": allocations(served, names), "backordered": served.beyond,
        })
    };
    json!({"status": life(reservation.life), "lines": reservation.lines.iter().map(line).collect::<Value>()})
}

pub fn order(shop: &Shop, names: &Names, n: usize) -> Value {
    let order = &shop.orders[n];
    let line = |line: &OrderLine| {
        let OrderLine { wish: (sku, quantity, _), promised, shipped, returned, cancelled } = line;
        json!({
            "sku": names.skus[*sku], "quantity": quantity, "allocated": promised.parts.values().sum::<i64>(),
            "allocations": allocations(promised, names), "backordered": promised.beyond,
            "shipped": shipped, "returned": returned, "cancelled": cancelled,
        })
    };
    let shipment = |arrived: &bool| json!({"status": if *arrived { "delivered" } else { "shipped" }});
    json!({
        "status": order.status(), "fulfilment_status": order.fulfilment(), "payment_status": "unpaid",
        "lines": order.lines.iter().map(line).collect::<Value>(),
        "shipments": order.shipments.iter().map(shipment).collect::<Value>(),
    })
}

pub fn transfer(shop: &Shop, names: &Names, n: usize) -> Value {
    let transfer = &shop.transfers[n];
    let lines: Value = transfer.lines.iter().map(|line| {
        json!({"sku": names.skus[line.sku], "quantity": line.quantity, "shipped": line.shipped, "received": line.received, "lost": line.lost})
    }).collect();
    json!({
        "status": journey(transfer.journey), "from": names.warehouses[transfer.from], "to": names.warehouses[transfer.to],
        "lines": lines,
    })
}
