//! Every type of event there is. Version 1 of each: members are only ever added to its data.

/// A type of event.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub r#type: &'static str,
    /// What happened, in a line
    pub summary: &'static str,
    /// How its subject begins
    pub about: &'static str,
}

const fn kind(r#type: &'static str, about: &'static str, summary: &'static str) -> Kind {
    Kind { r#type, summary, about }
}

/// By their types.
pub const CATALOGUE: &[Kind] = &[
    kind("cart.abandoned", "carts/", "A cart's time ran out, or it was given up: its stock is free again"),
    kind("cart.checked_out", "carts/", "A cart became an order"),
    kind("cart.created", "carts/", "A cart was begun"),
    kind("cart.merged", "carts/", "A cart went into another"),
    kind("cart.reopened", "carts/", "A cart that was abandoned is held again"),
    kind("channel.created", "channels/", "A place that sells was set up"),
    kind("channel.deleted", "channels/", "A place that sells is gone"),
    kind("channel.updated", "channels/", "A place that sells was changed: what it can promise may be another"),
    kind("customer.created", "customers/", "A customer is new"),
    kind("customer.erased", "customers/", "All that is personal of a customer was taken out"),
    kind("customer.updated", "customers/", "A customer was changed"),
    kind("feed.discrepancy", "products/", "What a system reported of stock disagrees with the books"),
    kind("instance.restored", "instance", "A backup was restored: what came after it was taken is lost"),
    kind("label.bought", "labels/", "A label can be printed"),
    kind("label.failed", "labels/", "A label could not be bought"),
    kind("label.voided", "labels/", "A label must not be used any more"),
    kind("order.backorder_allocated", "orders/", "A line that waited for stock has some"),
    kind("order.cancelled", "orders/", "An order was cancelled, and its stock is free again"),
    kind("order.completed", "orders/", "Nothing of an order is open any more, and all that was shipped has arrived"),
    kind("order.flagged", "orders/", "Somebody has to look at an order: its money is not as it should be"),
    kind("order.paid", "orders/", "An order is paid for the first time"),
    kind("order.placed", "orders/", "An order was placed"),
    kind(
        "order.updated",
        "orders/",
        "Something of an order was changed: its lines, where they come from, or where it goes",
    ),
    kind("payment.authorised", "payments/", "Money was promised"),
    kind("payment.captured", "payments/", "Money was taken"),
    kind("payment.expired", "payments/", "A promise of money ran out"),
    kind("payment.failed", "payments/", "A payment was declined, or could not be made"),
    kind("payment.refunded", "payments/", "Money was given back"),
    kind("payment.voided", "payments/", "A promise of money was given up"),
    kind("product.created", "products/", "A product is new"),
    kind("product.deleted", "products/", "A product is gone"),
    kind("product.updated", "products/", "A product was changed"),
    kind("reservation.committed", "reservations/", "A reservation became an order"),
    kind("reservation.created", "reservations/", "Stock is held"),
    kind("reservation.expired", "reservations/", "A reservation's time ran out, and its stock is free again"),
    kind("reservation.extended", "reservations/", "A reservation holds for longer"),
    kind("reservation.released", "reservations/", "A reservation was given up, and its stock is free again"),
    kind("return.approved", "orders/", "A return that was asked for may come"),
    kind("return.cancelled", "orders/", "A return that was asked for does not come"),
    kind("return.closed", "orders/", "Nothing more is expected of a return"),
    kind("return.exchanged", "orders/", "An order was placed in the place of goods that came back"),
    kind("return.progressed", "orders/", "Goods of a return that was asked for came in"),
    kind("return.received", "orders/", "Goods came back"),
    kind("return.rejected", "orders/", "A return that was asked for is not wanted"),
    kind("return.requested", "orders/", "Somebody asked for a return"),
    kind("shipment.created", "orders/", "A shipment of an order was made"),
    kind("shipment.delivered", "orders/", "A shipment arrived"),
    kind("shipment.shipped", "orders/", "A shipment left the warehouse"),
    kind("shipment.tracking_changed", "orders/", "A shipment is somewhere else on its way"),
    kind("stock.level_changed", "products/", "The stock of a product in a warehouse changed"),
    kind("stock.low", "products/", "The stock of a product in a warehouse fell to its reorder point"),
    kind("stock.state_changed", "products/", "A product went in stock, low, out of stock, or the like"),
    kind("transfer.received", "transfers/", "Goods of a transfer arrived, or are known to be lost"),
    kind("transfer.shipped", "transfers/", "Goods of a transfer left"),
    kind("warehouse.created", "warehouses/", "A place that holds stock was set up"),
    kind("warehouse.deleted", "warehouses/", "A place that holds stock is gone"),
    kind(
        "warehouse.updated",
        "warehouses/",
        "A place that holds stock was changed: what can be promised may be another",
    ),
    kind("webhook.disabled", "webhooks/", "A webhook wanted no more messages, or took none for too long"),
    kind("workflow.advanced", "orders/", "An order went on to another step of its workflow"),
    kind("workflow.compensated", "orders/", "An order was given up, and nothing of it is left to undo"),
    kind("workflow.completed", "orders/", "An order has passed all steps of its workflow"),
    kind("workflow.given_up", "orders/", "An order is given up: what was done for it is undone"),
    kind("workflow.started", "orders/", "An order began its way through a workflow"),
    kind("workflow.stuck", "orders/", "A step failed, and somebody has to decide"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The texts in double quotes of the product's own code, its tests left out, that look like a type.
    fn types_in_the_code() -> BTreeSet<String> {
        let looks_like_one = |text: &&str| {
            let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            text.split_once('.').is_some_and(|(thing, what)| is_word(thing) && is_word(what))
        };
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let files = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
        let of_the_product = |path: &std::path::Path| {
            let path = path.strip_prefix(root).unwrap();
            path.extension().is_some_and(|it| it == "rs")
                && !["cli", "platform", "fuzzing.rs"].iter().any(|other| path.starts_with(other)) // they publish nothing
                && !path.ends_with("events/catalogue.rs")
        };
        let mut found = BTreeSet::new();
        for file in files.filter(|entry| of_the_product(entry.path())) {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//") && !line.contains("#["));
            found.extend(
                lines.flat_map(|line| line.split('"').skip(1).step_by(2)).filter(looks_like_one).map(str::to_owned),
            );
        }
        found.remove("webhook.test"); // sent to one webhook, and never in the feed
        found.remove("tracker.updated"); // EasyPost's word
        found
    }

    #[test]
    fn the_catalogue_is_what_the_code_publishes() {
        let listed: BTreeSet<String> = CATALOGUE.iter().map(|kind| kind.r#type.to_owned()).collect();
        assert_eq!(types_in_the_code(), listed);
    }

    #[test]
    fn the_catalogue_is_sorted() {
        assert!(CATALOGUE.is_sorted_by(|a, b| a.r#type < b.r#type));
    }
}
