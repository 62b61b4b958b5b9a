//! What each call does to the shop, and what it is answered.

use serde_json::{Value, json};

use super::calls::{Call, DISPOSITIONS, GOOD, Names, QUARANTINE, QUARANTINED, RESTOCK, Reserve, Wish};
use super::shop::{
    CHANNELS, INACTIVE, Journey, Life, Order, OrderLine, Reservation, Shop, Transfer, TransferLine, spread,
};
use super::sourcing::Served;
use super::views;

/// What was made, whose id has to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Reservation,
    Order,
    Transfer,
    Shipment(usize),
}

/// What an answer has to be: its status, and members of its body.
#[derive(Clone, Debug)]
pub struct Expected {
    pub status: u16,
    pub body: Value,
    pub made: Option<Made>,
}

impl Expected {
    fn new(status: u16, body: Value) -> Self {
        Self { status, body, made: None }
    }

    fn made(made: Made, body: Value) -> Self {
        Self { status: 201, body, made: Some(made) }
    }
}

fn refusal(status: u16, slug: &str) -> Expected {
    Expected::new(status, json!({"type": format!("/problems/{slug}"), "status": status}))
}

fn invalid() -> Expected {
    refusal(422, "validation")
}

fn invalid_state() -> Expected {
    refusal(409, "invalid-state")
}

/// The server's word for a call that the shop decides: the shop, and the names in which it speaks.
pub struct Model {
    pub shop: Shop,
    pub names: Names,
}

impl Model {
    /// Makes the call; whatever it sets free serves those who wait before the call is over.
    pub fn call(&mut self, call: &Call) -> Expected {
        let before = self.shop.clone();
        let refused = self.act(call).err();
        match refused {
            Some(refused) => {
                self.shop = before;
                refused
            }
            None => {
                self.shop.serve_who_waits();
                self.told(call, &before)
            }
        }
    }

    fn act(&mut self, call: &Call) -> Result<(), Expected> {
        match call {
            Call::Adjust { sku, warehouse, change, condition } => self.adjust(*sku, *warehouse, *condition, *change),
            Call::SetTo { sku, warehouse, set_to, expected, condition } => {
                let level = self.shop.level(*sku, *warehouse);
                let found = if *condition == GOOD { level.on_hand() } else { level.stock[*condition] };
                if found != *expected {
                    let mut stale = refusal(409, "stale-quantity");
                    stale.body["on_hand"] = found.into();
                    return Err(stale);
                }
                self.adjust(*sku, *warehouse, *condition, set_to - found)
            }
            Call::Recondition { from, to, .. } if from == to => Err(invalid()),
            Call::Recondition { sku, warehouse, quantity, from, to } => {
                self.adjust(*sku, *warehouse, *from, -quantity)?;
                self.adjust(*sku, *warehouse, *to, *quantity)
            }
            Call::Settings { sku, warehouse, safety_stock, reorder_point } => {
                let level = &mut self.shop.products[*sku].levels[*warehouse];
                (level.safety_stock, level.reorder_point) = (*safety_stock, *reorder_point);
                Ok(())
            }
            Call::Policy { sku, backorder_limit, discontinued } => {
                let product = &mut self.shop.products[*sku];
                (product.backorder_limit, product.discontinued) = (*backorder_limit, *discontinued);
                Ok(())
            }
            Call::Reserve(reserve) => self.reserve(reserve),
            Call::Extend { reservation } => self.live(*reservation).map(drop),
            Call::Release { reservation } => {
                if self.shop.reservations[*reservation].life != Life::Released {
                    self.live(*reservation)?.life = Life::Released;
                }
                Ok(())
            }
            Call::Order { lines, channel } => {
                let served = self.promise(lines, *channel, false)?;
                self.place(*channel, lines.iter().copied().zip(served).collect());
                Ok(())
            }
            Call::Commit { reservation } => {
                let held = self.live(*reservation)?;
                held.life = Life::Committed;
                let (channel, lines) = (held.channel, held.lines.clone());
                self.place(channel, lines);
                Ok(())
            }
            Call::Cancel { order } => self.cancel(*order),
            Call::Ship { order, warehouse, lines } => self.ship(*order, *warehouse, lines.as_deref()),
            Call::Deliver { order, shipment } => {
                self.shop.orders[*order].shipments[*shipment] = true;
                Ok(())
            }
            Call::TakeBack { order, lines } => self.take_back(*order, lines),
            Call::Transfer { from, to, lines } => self.transfer(*from, *to, lines),
            Call::Send { transfer } => self.send(*transfer),
            Call::Receive { transfer, lines, close } => self.receive(*transfer, lines.as_deref(), *close),
            Call::Withdraw { transfer } => {
                self.in_state(*transfer, Journey::Draft)?.journey = Journey::Cancelled;
                Ok(())
            }
            Call::Again { .. } | Call::Reuse { .. } => unreachable!("these do not reach the shop"),
        }
    }

    fn short(&self, short: impl IntoIterator<Item = (usize, (i64, i64))>) -> Expected {
        let mut refused = refusal(409, "insufficient-stock");
        let line = |(sku, (requested, available))| json!({"sku": self.names.skus[sku], "requested": requested, "available": available});
        refused.body["shortages"] = short.into_iter().map(line).collect();
        refused
    }

    /// Nothing that is promised is taken away.
    fn adjust(&mut self, sku: usize, warehouse: usize, condition: usize, change: i64) -> Result<(), Expected> {
        let removable = self.shop.removable(sku, warehouse, condition);
        if change < 0 && removable < -change {
            return Err(self.short([(sku, (-change, removable.max(0)))]));
        }
        self.shop.products[sku].levels[warehouse].stock[condition] += change;
        Ok(())
    }

    fn live(&mut self, reservation: usize) -> Result<&mut Reservation, Expected> {
        let reservation = &mut self.shop.reservations[reservation];
        if reservation.life == Life::Active {
            return Ok(reservation);
        }
        let mut ended = refusal(409, "reservation-ended");
        ended.body["reservation_status"] = views::life(reservation.life).into();
        Err(ended)
    }

    /// How the lines are served: wholly, or with `allow_partial` as far as there is any.
    fn promise(&self, lines: &[Wish], channel: Option<usize>, allow_partial: bool) -> Result<Vec<Served>, Expected> {
        let serves = |pin: usize| {
            let linked = channel.is_none_or(|n| CHANNELS[n].0.iter().any(|(it, _)| *it == pin));
            pin != INACTIVE && linked
        };
        if lines.iter().filter_map(|it| it.2).any(|pin| !serves(pin)) {
            return Err(invalid());
        }
        let served = self.shop.served(lines, channel, true);
        let short = self.shop.shortages(lines, &served, channel);
        let nothing = served.iter().all(|it| it.quantity() == 0);
        if short.is_empty() || (allow_partial && !nothing) { Ok(served) } else { Err(self.short(short)) }
    }

    fn reserve(&mut self, reserve: &Reserve) -> Result<(), Expected> {
        let Reserve { lines, channel, allow_partial, owner, replace } = reserve;
        if let Some(old) = replace {
            let old = &mut self.shop.reservations[*old];
            if owner.is_none() || old.owner != *owner {
                return Err(invalid());
            }
            match old.life {
                // What it holds is there for its successor; should there not be enough, all stays as it was.
                Life::Active => old.life = Life::Released,
                Life::Released => {}
                Life::Committed => return self.live(replace.unwrap_or_default()).map(drop),
            }
        }
        let served = self.promise(lines, *channel, *allow_partial)?;
        let lines = lines.iter().copied().zip(served).collect();
        self.shop.reservations.push(Reservation { life: Life::Active, owner: *owner, channel: *channel, lines });
        Ok(())
    }

    /// An order of what was promised; lines of which nothing is, are none.
    fn place(&mut self, channel: Option<usize>, lines: Vec<(Wish, Served)>) {
        let line = |((sku, _, pin), promised): (Wish, Served)| {
            let wish = (sku, promised.quantity(), pin);
            OrderLine { wish, promised, shipped: 0, returned: 0, cancelled: 0 }
        };
        let lines = lines.into_iter().map(line).filter(|it| it.wish.1 > 0).collect();
        self.shop.orders.push(Order { channel, lines, shipments: Vec::new() });
    }

    fn cancel(&mut self, order: usize) -> Result<(), Expected> {
        let order = &mut self.shop.orders[order];
        if order.open() == 0 && order.lines.iter().all(|it| it.cancelled == 0) {
            return Err(invalid_state());
        }
        for line in &mut order.lines {
            line.cancelled += line.open();
            line.promised = Served::default();
        }
        Ok(())
    }

    fn ship(&mut self, order: usize, warehouse: usize, lines: Option<&[(usize, i64)]>) -> Result<(), Expected> {
        let order = &mut self.shop.orders[order];
        let allocated = |line: &OrderLine| line.promised.parts.get(&warehouse).copied().unwrap_or(0);
        if order.status() != "placed" {
            return Err(invalid_state());
        }
        let leaving: Vec<(usize, i64)> = match lines {
            None => order.lines.iter().map(allocated).enumerate().collect(),
            Some(lines) => {
                let taken = spread(&order.lines, lines, allocated).ok_or_else(invalid_state)?;
                taken.into_iter().map(|(n, quantity, _)| (n, quantity)).collect()
            }
        };
        if leaving.iter().all(|(_, quantity)| *quantity == 0) {
            return Err(invalid_state());
        }
        for (n, quantity) in leaving {
            let line = &mut order.lines[n];
            line.shipped += quantity;
            if let Some(part) = line.promised.parts.get_mut(&warehouse) {
                *part -= quantity;
            }
            line.promised.parts.retain(|_, left| *left > 0);
            self.shop.products[line.wish.0].levels[warehouse].stock[GOOD] -= quantity;
        }
        order.shipments.push(false);
        Ok(())
    }

    fn take_back(&mut self, order: usize, lines: &[(usize, i64, usize, usize)]) -> Result<(), Expected> {
        let wanted: Vec<(usize, i64)> = lines.iter().map(|(sku, quantity, ..)| (*sku, *quantity)).collect();
        let order = &mut self.shop.orders[order];
        let taken = spread(&order.lines, &wanted, OrderLine::with_customer).ok_or_else(invalid_state)?;
        for (n, quantity, _) in taken {
            order.lines[n].returned += quantity;
        }
        for (sku, quantity, disposition, warehouse) in lines {
            let stock = &mut self.shop.products[*sku].levels[*warehouse].stock;
            match *disposition {
                RESTOCK => stock[GOOD] += quantity,
                QUARANTINE => stock[QUARANTINED] += quantity,
                _ => {}
            }
        }
        Ok(())
    }

    fn transfer(&mut self, from: usize, to: usize, lines: &[(usize, i64)]) -> Result<(), Expected> {
        if from == to || from == INACTIVE || to == INACTIVE {
            return Err(invalid());
        }
        let line = |(sku, quantity): &(usize, i64)| TransferLine {
            sku: *sku,
            quantity: *quantity,
            shipped: 0,
            received: 0,
            lost: 0,
        };
        let lines = lines.iter().map(line).collect();
        self.shop.transfers.push(Transfer { journey: Journey::Draft, from, to, lines });
        Ok(())
    }

    fn in_state(&mut self, transfer: usize, journey: Journey) -> Result<&mut Transfer, Expected> {
        let transfer = &mut self.shop.transfers[transfer];
        if transfer.journey == journey { Ok(transfer) } else { Err(invalid_state()) }
    }

    fn send(&mut self, transfer: usize) -> Result<(), Expected> {
        let Transfer { from, lines, .. } = self.in_state(transfer, Journey::Draft)?.clone();
        let free = |line: &TransferLine| self.shop.uncommitted(line.sku, from).max(0);
        let short: Vec<(usize, (i64, i64))> =
            lines.iter().filter(|it| free(it) < it.quantity).map(|it| (it.sku, (it.quantity, free(it)))).collect();
        if !short.is_empty() {
            return Err(self.short(short));
        }
        for line in &lines {
            self.shop.products[line.sku].levels[from].stock[GOOD] -= line.quantity;
        }
        let transfer = &mut self.shop.transfers[transfer];
        transfer.journey = Journey::InTransit;
        transfer.lines.iter_mut().for_each(|line| line.shipped = line.quantity);
        Ok(())
    }

    fn receive(&mut self, transfer: usize, named: Option<&[(usize, i64, usize)]>, close: bool) -> Result<(), Expected> {
        let Transfer { to, mut lines, .. } = self.in_state(transfer, Journey::InTransit)?.clone();
        let all: Vec<_> = lines.iter().filter(|it| it.open() > 0).map(|it| (it.sku, it.open(), GOOD)).collect();
        let arrived = named.unwrap_or(&all);
        if arrived.is_empty() && !close {
            return Err(invalid());
        }
        for (sku, quantity, condition) in arrived {
            let line = lines.iter_mut().find(|it| it.sku == *sku).filter(|it| it.open() >= *quantity);
            line.ok_or_else(invalid)?.received += quantity;
            self.shop.products[*sku].levels[to].stock[*condition] += quantity;
        }
        if close {
            lines.iter_mut().for_each(|line| line.lost += line.open());
        }
        let transfer = &mut self.shop.transfers[transfer];
        if lines.iter().all(|it| it.open() == 0) {
            transfer.journey = Journey::Received;
        }
        transfer.lines = lines;
        Ok(())
    }

    /// The answer to a call that was made; `before` it the shop was like this.
    fn told(&self, call: &Call, before: &Shop) -> Expected {
        let (shop, names) = (&self.shop, &self.names);
        match call {
            Call::Adjust { sku, warehouse, .. } | Call::SetTo { sku, warehouse, .. } => {
                let change = shop.level(*sku, *warehouse).on_hand() - before.level(*sku, *warehouse).on_hand();
                let movement = if change == 0 { Value::Null } else { json!({"quantity": change.abs()}) };
                let level = views::level(shop, names, *sku, *warehouse, None);
                Expected::new(201, json!({"movement": movement, "level": level}))
            }
            Call::Recondition { sku, warehouse, quantity, .. } => {
                let level = views::level(shop, names, *sku, *warehouse, None);
                Expected::new(201, json!({"movement": {"quantity": quantity}, "level": level}))
            }
            Call::Settings { sku, warehouse, .. } => {
                Expected::new(200, views::level(shop, names, *sku, *warehouse, None))
            }
            Call::Policy { backorder_limit, discontinued, .. } => {
                let body = json!({"availability": {"backorder_limit": backorder_limit, "discontinued": discontinued}});
                Expected::new(200, body)
            }
            Call::Reserve(_) => {
                Expected::made(Made::Reservation, views::reservation(shop, names, shop.reservations.len() - 1))
            }
            Call::Extend { reservation } => Expected::new(200, views::reservation(shop, names, *reservation)),
            Call::Release { .. } => Expected::new(204, Value::Null),
            Call::Order { .. } | Call::Commit { .. } => {
                Expected::made(Made::Order, views::order(shop, names, shop.orders.len() - 1))
            }
            Call::Cancel { order } => Expected::new(200, views::order(shop, names, *order)),
            Call::Ship { order, warehouse, .. } => {
                let (now, then) = (&shop.orders[*order].lines, &before.orders[*order].lines);
                let left = now.iter().zip(then).map(|(now, then)| (now.wish.0, now.shipped - then.shipped));
                let lines = left.filter(|(_, quantity)| *quantity > 0);
                let lines: Value =
                    lines.map(|(sku, quantity)| json!({"sku": names.skus[sku], "quantity": quantity})).collect();
                let body = json!({"warehouse": names.warehouses[*warehouse], "status": "shipped", "lines": lines});
                Expected::made(Made::Shipment(*order), body)
            }
            Call::Deliver { .. } => Expected::new(200, json!({"status": "delivered"})),
            Call::TakeBack { order, lines } => {
                let wanted: Vec<(usize, i64)> = lines.iter().map(|(sku, quantity, ..)| (*sku, *quantity)).collect();
                let taken = spread(&before.orders[*order].lines, &wanted, OrderLine::with_customer).unwrap_or_default();
                let line = |(_, quantity, n): &(usize, i64, usize)| {
                    let (sku, _, disposition, warehouse) = lines[*n];
                    json!({"sku": names.skus[sku], "quantity": quantity, "disposition": DISPOSITIONS[disposition], "warehouse": names.warehouses[warehouse]})
                };
                Expected::new(201, json!({"lines": taken.iter().map(line).collect::<Value>()}))
            }
            Call::Transfer { .. } => {
                Expected::made(Made::Transfer, views::transfer(shop, names, shop.transfers.len() - 1))
            }
            Call::Send { transfer } | Call::Withdraw { transfer } => {
                Expected::new(200, views::transfer(shop, names, *transfer))
            }
            Call::Receive { transfer, .. } => Expected::new(201, views::transfer(shop, names, *transfer)),
            Call::Again { .. } | Call::Reuse { .. } => unreachable!("these do not reach the shop"),
        }
    }
}
