//! Sequences of calls, made from a seed: mostly sensible ones, which know what there is, and some that are not.

use rand::RngExt;
use rand::rngs::StdRng;

use super::calls::{CONDITIONS, Call, DISPOSITIONS, GOOD, Reserve, Wish};
use super::shop::{CHANNELS, Journey, Life, Shop, WAREHOUSES};

/// A sequence begins with as many: there should be something to sell.
const DELIVERIES: usize = 6;

pub struct Generator {
    pub rng: StdRng,
}

impl Generator {
    fn upto(&mut self, most: i64) -> i64 {
        self.rng.random_range(1..=most.max(1))
    }

    fn index(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// One of those that are wanted, else (and sometimes anyway) any.
    fn pick<T>(&mut self, list: &[T], wanted: impl Fn(&T) -> bool) -> Option<usize> {
        let fit: Vec<usize> = list.iter().enumerate().filter(|(_, it)| wanted(it)).map(|(n, _)| n).collect();
        match (fit.len(), list.len()) {
            (_, 0) => None,
            (0, any) => Some(self.index(any)),
            (some, any) => Some(if self.chance(90) { fit[self.index(some)] } else { self.index(any) }),
        }
    }

    /// The next call; `posts` are the earlier steps that may be sent again.
    pub fn next(&mut self, shop: &Shop, posts: &[usize]) -> Call {
        if posts.len() < DELIVERIES {
            let (sku, warehouse) = (self.index(shop.products.len()), self.index(WAREHOUSES));
            return Call::Adjust { sku, warehouse, change: self.upto(20), condition: GOOD };
        }
        let chosen = match self.rng.random_range(0..100) {
            0..5 => self.set_to(shop),
            5..10 => self.recondition(),
            10..14 => self.settings(),
            14..17 => self.policy(shop),
            17..32 => self.reserve(shop),
            32..40 => self.order(shop),
            40..60 => self.with_reservation(shop),
            60..80 => self.with_order(shop),
            80..92 => self.with_transfer(shop),
            92..96 => self.repeat(posts),
            _ => None,
        };
        chosen.unwrap_or_else(|| self.adjust(shop))
    }

    fn condition(&mut self) -> usize {
        if self.chance(75) { GOOD } else { self.index(CONDITIONS.len()) }
    }

    fn adjust(&mut self, shop: &Shop) -> Call {
        let change = if self.chance(65) { self.upto(12) } else { -self.upto(6) };
        let (sku, warehouse) = (self.index(shop.products.len()), self.index(WAREHOUSES));
        Call::Adjust { sku, warehouse, change, condition: self.condition() }
    }

    fn set_to(&mut self, shop: &Shop) -> Option<Call> {
        let (sku, warehouse, condition) = (self.index(shop.products.len()), self.index(WAREHOUSES), self.condition());
        let level = shop.level(sku, warehouse);
        let found = if condition == GOOD { level.on_hand() } else { level.stock[condition] };
        let expected = if self.chance(80) { found } else { found + self.upto(3) };
        let set_to = (expected + self.rng.random_range(-4..=5)).max(0);
        Some(Call::SetTo { sku, warehouse, set_to, expected, condition })
    }

    fn recondition(&mut self) -> Option<Call> {
        let (from, to) = if self.chance(60) { (GOOD, 1 + self.index(3)) } else { (self.index(4), self.index(4)) };
        Some(Call::Recondition {
            sku: self.index(3),
            warehouse: self.index(WAREHOUSES),
            quantity: self.upto(4),
            from,
            to,
        })
    }

    fn settings(&mut self) -> Option<Call> {
        let (safety_stock, reorder_point) = (self.rng.random_range(0..5), self.rng.random_range(0..8));
        Some(Call::Settings { sku: self.index(3), warehouse: self.index(WAREHOUSES), safety_stock, reorder_point })
    }

    fn policy(&mut self, shop: &Shop) -> Option<Call> {
        let (backorder_limit, discontinued) = (self.rng.random_range(0..16), self.chance(15));
        Some(Call::Policy { sku: self.index(shop.products.len()), backorder_limit, discontinued })
    }

    fn wishes(&mut self, shop: &Shop) -> Vec<Wish> {
        let lines = if self.chance(50) { 1 } else { self.upto(3) };
        (0..lines)
            .map(|_| {
                let pin = if self.chance(15) { Some(self.index(WAREHOUSES)) } else { None };
                (self.index(shop.products.len()), self.upto(9), pin)
            })
            .collect()
    }

    fn channel(&mut self) -> Option<usize> {
        if self.chance(45) { Some(self.index(CHANNELS.len())) } else { None }
    }

    fn reserve(&mut self, shop: &Shop) -> Option<Call> {
        let replace = if self.chance(20) {
            self.pick(&shop.reservations, |it| it.life == Life::Active && it.owner.is_some())
        } else {
            None
        };
        let owner = match replace {
            Some(n) if self.chance(90) => shop.reservations[n].owner,
            _ if self.chance(40) => Some(self.index(2)),
            _ => None,
        };
        let (lines, channel, allow_partial) = (self.wishes(shop), self.channel(), self.chance(25));
        Some(Call::Reserve(Reserve { lines, channel, allow_partial, owner, replace }))
    }

    fn order(&mut self, shop: &Shop) -> Option<Call> {
        Some(Call::Order { lines: self.wishes(shop), channel: self.channel() })
    }

    fn with_reservation(&mut self, shop: &Shop) -> Option<Call> {
        let reservation = self.pick(&shop.reservations, |it| it.life == Life::Active)?;
        Some(match self.rng.random_range(0..10) {
            0..6 => Call::Commit { reservation },
            6..9 => Call::Release { reservation },
            _ => Call::Extend { reservation },
        })
    }

    fn with_order(&mut self, shop: &Shop) -> Option<Call> {
        let kind = self.rng.random_range(0..20);
        if kind < 5 {
            let order = self.pick(&shop.orders, |it| it.open() > 0)?;
            return Some(Call::Cancel { order });
        }
        if kind < 13 {
            let order = self.pick(&shop.orders, |it| it.lines.iter().any(|line| !line.promised.parts.is_empty()))?;
            return Some(self.ship(shop, order));
        }
        let order = self.pick(&shop.orders, |it| it.lines.iter().any(|line| line.with_customer() > 0))?;
        if kind < 16 {
            let shipments = shop.orders[order].shipments.len();
            return (shipments > 0).then(|| Call::Deliver { order, shipment: self.index(shipments) });
        }
        Some(self.take_back(shop, order))
    }

    fn ship(&mut self, shop: &Shop, order: usize) -> Call {
        let lines = &shop.orders[order].lines;
        let places: Vec<(usize, i64, usize)> = lines
            .iter()
            .flat_map(|line| {
                line.promised.parts.iter().map(|(warehouse, quantity)| (line.wish.0, *quantity, *warehouse))
            })
            .collect();
        if places.is_empty() || self.chance(8) {
            return Call::Ship { order, warehouse: self.index(WAREHOUSES), lines: None };
        }
        let (sku, allocated, warehouse) = places[self.index(places.len())];
        let lines = if self.chance(55) { None } else { Some(vec![(sku, self.upto(allocated + 1))]) };
        Call::Ship { order, warehouse, lines }
    }

    fn take_back(&mut self, shop: &Shop, order: usize) -> Call {
        let lines = &shop.orders[order].lines;
        let count = self.upto(2);
        let lines = (0..count)
            .map(|_| {
                let line = &lines[self.index(lines.len())];
                let quantity = self.upto(line.with_customer() + 1);
                (line.wish.0, quantity, self.index(DISPOSITIONS.len()), self.index(WAREHOUSES))
            })
            .collect();
        Call::TakeBack { order, lines }
    }

    fn with_transfer(&mut self, shop: &Shop) -> Option<Call> {
        match self.rng.random_range(0..12) {
            0..4 => {
                let mut skus: Vec<usize> = (0..shop.products.len()).filter(|_| self.chance(50)).collect();
                if skus.is_empty() {
                    skus.push(0);
                }
                let lines = skus.into_iter().map(|sku| (sku, self.upto(6))).collect();
                Some(Call::Transfer { from: self.index(WAREHOUSES), to: self.index(WAREHOUSES), lines })
            }
            4..7 => {
                self.pick(&shop.transfers, |it| it.journey == Journey::Draft).map(|transfer| Call::Send { transfer })
            }
            7..11 => {
                let transfer = self.pick(&shop.transfers, |it| it.journey == Journey::InTransit)?;
                Some(self.receive(shop, transfer))
            }
            _ => self
                .pick(&shop.transfers, |it| it.journey == Journey::Draft)
                .map(|transfer| Call::Withdraw { transfer }),
        }
    }

    fn receive(&mut self, shop: &Shop, transfer: usize) -> Call {
        let lines = if self.chance(40) {
            None
        } else {
            let open = shop.transfers[transfer].lines.iter().filter(|_| self.chance(70)).collect::<Vec<_>>();
            let line = |it: &&super::shop::TransferLine| (it.sku, self.upto(it.open() + 1), self.condition());
            Some(open.iter().map(line).collect())
        };
        Call::Receive { transfer, lines, close: self.chance(30) }
    }

    fn repeat(&mut self, posts: &[usize]) -> Option<Call> {
        if posts.is_empty() {
            return None;
        }
        let step = posts[self.index(posts.len())];
        Some(if self.chance(80) { Call::Again { step } } else { Call::Reuse { step } })
    }
}
