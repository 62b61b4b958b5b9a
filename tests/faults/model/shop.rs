//! The shop as the documentation has it, in memory: what is promised is a list, and every quantity is counted anew
//! from it. Nothing here is fast, and nothing is kept twice.

use std::collections::BTreeMap;

use super::calls::{GOOD, Wish};
use super::sourcing::{Candidate, Served, source};

pub const WAREHOUSES: usize = 4;
/// Stock there is not for sale.
pub const INACTIVE: usize = 3;
/// Lower comes first.
pub const PRIORITIES: [i64; WAREHOUSES] = [10, 20, 20, 5];
/// Channels: their warehouses in order, each with its buffer, and whether few shipments matter to them.
pub const CHANNELS: [(&[(usize, i64)], bool); 2] = [(&[(1, 2), (0, 0)], true), (&[(2, 0), (0, 1)], false)];

#[derive(Clone, Debug, Default)]
pub struct Level {
    /// By condition
    pub stock: [i64; 4],
    pub safety_stock: i64,
    pub reorder_point: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Product {
    pub backorder_limit: i64,
    pub discontinued: bool,
    pub levels: [Level; WAREHOUSES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Active,
    Released,
    Committed,
}

#[derive(Clone, Debug)]
pub struct Reservation {
    pub life: Life,
    pub owner: Option<usize>,
    pub channel: Option<usize>,
    pub lines: Vec<(Wish, Served)>,
}

#[derive(Clone, Debug)]
pub struct OrderLine {
    pub wish: Wish,
    pub promised: Served,
    pub shipped: i64,
    pub returned: i64,
    pub cancelled: i64,
}

#[derive(Clone, Debug)]
pub struct Order {
    pub channel: Option<usize>,
    pub lines: Vec<OrderLine>,
    /// Whether each has arrived
    pub shipments: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journey {
    Draft,
    InTransit,
    Received,
    Cancelled,
}

#[derive(Clone, Debug)]
pub struct TransferLine {
    pub sku: usize,
    pub quantity: i64,
    pub shipped: i64,
    pub received: i64,
    pub lost: i64,
}

#[derive(Clone, Debug)]
pub struct Transfer {
    pub journey: Journey,
    pub from: usize,
    pub to: usize,
    pub lines: Vec<TransferLine>,
}

#[derive(Clone, Debug, Default)]
pub struct Shop {
    pub products: Vec<Product>,
    pub reservations: Vec<Reservation>,
    pub orders: Vec<Order>,
    pub transfers: Vec<Transfer>,
}

impl Level {
    pub fn on_hand(&self) -> i64 {
        self.stock.iter().sum()
    }
}

impl OrderLine {
    pub fn open(&self) -> i64 {
        self.wish.1 - self.shipped - self.cancelled
    }

    pub fn with_customer(&self) -> i64 {
        self.shipped - self.returned
    }
}

impl TransferLine {
    pub fn open(&self) -> i64 {
        self.shipped - self.received - self.lost
    }
}

impl Order {
    pub fn open(&self) -> i64 {
        self.lines.iter().map(OrderLine::open).sum()
    }

    pub fn status(&self) -> &'static str {
        let shipped: i64 = self.lines.iter().map(|it| it.shipped).sum();
        match (self.open(), shipped) {
            (1.., _) => "placed",
            (_, 0) => "cancelled",
            _ if self.shipments.iter().all(|arrived| *arrived) => "completed",
            _ => "placed",
        }
    }

    pub fn fulfilment(&self) -> &'static str {
        let sum = |of: fn(&OrderLine) -> i64| self.lines.iter().map(of).sum::<i64>();
        match (sum(|it| it.shipped), self.open()) {
            (0, _) => "unfulfilled",
            (_, 1..) => "partially_fulfilled",
            (shipped, _) if sum(|it| it.returned) == shipped => "returned",
            _ => "fulfilled",
        }
    }
}

impl Shop {
    pub fn level(&self, sku: usize, warehouse: usize) -> &Level {
        &self.products[sku].levels[warehouse]
    }

    fn held(&self) -> impl Iterator<Item = (usize, &Served)> {
        let live = self.reservations.iter().filter(|it| it.life == Life::Active);
        live.flat_map(|it| it.lines.iter().map(|((sku, ..), served)| (*sku, served)))
    }

    fn ordered(&self) -> impl Iterator<Item = (usize, &Served)> {
        self.orders.iter().flat_map(|it| it.lines.iter().map(|line| (line.wish.0, &line.promised)))
    }

    pub fn reserved(&self, sku: usize, warehouse: usize) -> i64 {
        self.held().filter(|it| it.0 == sku).filter_map(|it| it.1.parts.get(&warehouse)).sum()
    }

    pub fn allocated(&self, sku: usize, warehouse: usize) -> i64 {
        self.ordered().filter(|it| it.0 == sku).filter_map(|it| it.1.parts.get(&warehouse)).sum()
    }

    pub fn incoming(&self, sku: usize, warehouse: usize) -> i64 {
        let here = self.transfers.iter().filter(|it| it.to == warehouse && it.journey == Journey::InTransit);
        here.flat_map(|it| &it.lines).filter(|it| it.sku == sku).map(TransferLine::open).sum()
    }

    /// Promised beyond stock, to holds and orders.
    pub fn beyond(&self, sku: usize) -> i64 {
        self.held().chain(self.ordered()).filter(|it| it.0 == sku).map(|it| it.1.beyond).sum()
    }

    fn limit(&self, sku: usize) -> i64 {
        let product = &self.products[sku];
        if product.discontinued { 0 } else { product.backorder_limit }
    }

    /// Good stock from which nothing is promised.
    pub fn uncommitted(&self, sku: usize, warehouse: usize) -> i64 {
        self.level(sku, warehouse).stock[GOOD] - self.reserved(sku, warehouse) - self.allocated(sku, warehouse)
    }

    /// What may be taken out of a condition.
    pub fn removable(&self, sku: usize, warehouse: usize, condition: usize) -> i64 {
        if condition == GOOD { self.uncommitted(sku, warehouse) } else { self.level(sku, warehouse).stock[condition] }
    }

    /// What is for sale, whoever asks.
    pub fn available(&self, sku: usize, warehouse: usize) -> i64 {
        let kept_back = self.level(sku, warehouse).safety_stock;
        if warehouse == INACTIVE { 0 } else { (self.uncommitted(sku, warehouse) - kept_back).max(0) }
    }

    /// The active warehouses that serve a channel, each with its buffer; all of them without a channel.
    pub fn scope(channel: Option<usize>) -> Vec<(usize, i64)> {
        let linked = match channel {
            None => (0..WAREHOUSES).map(|n| (n, 0)).collect(),
            Some(n) => CHANNELS[n].0.to_vec(),
        };
        linked.into_iter().filter(|(warehouse, _)| *warehouse != INACTIVE).collect()
    }

    /// What a channel can sell from a warehouse.
    pub fn for_sale(&self, sku: usize, warehouse: usize, buffer: i64) -> i64 {
        (self.available(sku, warehouse) - buffer).max(0)
    }

    /// How the lines would be served now.
    pub fn served(&self, lines: &[Wish], channel: Option<usize>, with_beyond: bool) -> Vec<Served> {
        let candidate = |(position, (warehouse, buffer)): (usize, (usize, i64))| Candidate {
            warehouse,
            rank: (if channel.is_some() { position } else { 0 }, PRIORITIES[warehouse]),
            stock: (0..self.products.len()).map(|sku| self.for_sale(sku, warehouse, buffer)).collect(),
        };
        let candidates = Self::scope(channel).into_iter().enumerate().map(candidate).collect();
        let left = |sku: usize| if with_beyond { (self.limit(sku) - self.beyond(sku)).max(0) } else { 0 };
        let beyond = (0..self.products.len()).map(left).collect();
        source(lines, candidates, channel.is_none_or(|n| CHANNELS[n].1), beyond)
    }

    /// Products of which the lines get less than they ask for: asked for in all, and what there is.
    pub fn shortages(&self, lines: &[Wish], served: &[Served], channel: Option<usize>) -> BTreeMap<usize, (i64, i64)> {
        let short = lines.iter().zip(served).filter(|((_, wanted, _), served)| served.quantity() < *wanted);
        let told = short.map(|((sku, ..), _)| {
            let all: Vec<&Wish> = lines.iter().filter(|it| it.0 == *sku).collect();
            let anywhere = all.iter().any(|it| it.2.is_none());
            let places =
                Self::scope(channel).into_iter().filter(|(n, _)| anywhere || all.iter().any(|it| it.2 == Some(*n)));
            let available = places.map(|(warehouse, buffer)| self.for_sale(*sku, warehouse, buffer)).sum();
            (*sku, (all.iter().map(|it| it.1).sum(), available))
        });
        told.collect()
    }

    /// Stock that is free goes to the orders that wait, the oldest first.
    pub fn serve_who_waits(&mut self) {
        for n in 0..self.orders.len() {
            for m in 0..self.orders[n].lines.len() {
                let OrderLine { wish: (sku, _, pin), promised, .. } = &self.orders[n].lines[m];
                if promised.beyond == 0 {
                    continue;
                }
                let wish = (*sku, promised.beyond, *pin);
                let more = self.served(&[wish], self.orders[n].channel, false).remove(0);
                let promised = &mut self.orders[n].lines[m].promised;
                promised.beyond -= more.quantity();
                for (warehouse, quantity) in more.parts {
                    *promised.parts.entry(warehouse).or_default() += quantity;
                }
            }
        }
    }

    /// What a shopper should be told.
    pub fn state(&self, sku: usize, channel: Option<usize>) -> &'static str {
        let scope = Self::scope(channel);
        let available: i64 = scope.iter().map(|(warehouse, buffer)| self.for_sale(sku, *warehouse, *buffer)).sum();
        let reorder: i64 = scope.iter().map(|(warehouse, _)| self.level(sku, *warehouse).reorder_point).sum();
        if available > 0 {
            return if reorder > 0 && available <= reorder { "low_stock" } else { "in_stock" };
        }
        match self.products[sku].discontinued {
            true => "discontinued",
            false if self.limit(sku) > self.beyond(sku) => "backorder",
            false => "out_of_stock",
        }
    }
}

/// Spreads what is asked for by product over the lines of that product, in their order: (line, quantity, which of
/// the wishes), or `None` when there is too little of something.
pub fn spread(
    lines: &[OrderLine],
    wanted: &[(usize, i64)],
    capacity: impl Fn(&OrderLine) -> i64,
) -> Option<Vec<(usize, i64, usize)>> {
    let mut left: Vec<i64> = lines.iter().map(capacity).collect();
    let mut taken = Vec::new();
    for (wish, (sku, quantity)) in wanted.iter().enumerate() {
        let mut open = *quantity;
        for (n, left) in left.iter_mut().enumerate().filter(|(n, _)| lines[*n].wish.0 == *sku) {
            let part = open.min(*left);
            if part > 0 {
                taken.push((n, part, wish));
                (*left, open) = (*left - part, open - part);
            }
        }
        if open > 0 {
            return None;
        }
    }
    Some(taken)
}
