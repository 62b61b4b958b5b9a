//! What shoppers are about to buy: `open → checked_out | merged | abandoned`, and open again.
//!
//! A cart holds its stock by a reservation, which each change replaces in one step: so a shopper is never blocked by the
//! own cart, and what cannot be had leaves it as it was.
//!
//! **Invariant:** whoever changes a cart locks its row first. While it is open and has lines, its reservation
//! holds exactly these, line by line, until `expires_at`, which no change ever moves nearer.
//!
//! **Invariant:** a cart becomes one order at most, and says which.

mod error;
mod events;
mod http;
mod model;
mod repo;

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::Limits;
use crate::events::{Event, Events};
use crate::inventory::Inventory;
use crate::orders::{self, NewOrder, Order, Orders, Reserved};
use crate::platform::db::{Db, Reads, Writes};
use crate::platform::difference::Difference;
use crate::platform::money::Money;
use crate::platform::page::{Page, PageRequest};
use crate::reservations::{self, Reservations, Status};

pub use error::Error;
pub use http::router;

use model::{Cart, CartLineTerms, CartStatus, CartTerms, Filter, NewCart, NewCartLine};

/// Carts whose time ran out that are marked in one transaction.
const SWEEP_STRETCH: i64 = 200;
/// Carts forgotten in one transaction.
const FORGOTTEN_AT_ONCE: i64 = 1000;

#[derive(Clone)]
pub struct Carts {
    db: Db,
    inventory: Inventory,
    reservations: Reservations,
    orders: Orders,
}

type Result<T> = std::result::Result<T, Error>;

impl Carts {
    pub fn new(db: Db, inventory: Inventory, reservations: Reservations, orders: Orders) -> Self {
        Self { db, inventory, reservations, orders }
    }

    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<Cart>> {
        let rows = repo::list(&mut *self.db.conn().await?, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    async fn get(&self, id: Uuid, limits: &Limits) -> Result<Cart> {
        within(repo::find(&mut *self.db.conn().await?, id).await?, id, limits)
    }

    /// Locks the cart's row, and reads it.
    async fn lock_in_tx(&self, conn: &mut PgConnection, id: Uuid, limits: &Limits) -> Result<Cart> {
        within(repo::lock(conn, id).await?, id, limits)
    }

    async fn create_in_tx(&self, conn: &mut PgConnection, new: &NewCart) -> Result<Cart> {
        let mut cart = Cart::new(new, repo::clock(conn).await?);
        let prices = self.prices(conn, &new.lines).await?;
        let mut faults = Vec::new();
        for (n, line) in new.lines.iter().enumerate() {
            if let Err(mut fault) = cart.add(line, prices.get(&line.sku.0)) {
                fault.pointer = format!("/lines/{n}{}", fault.pointer);
                faults.push(fault);
            }
        }
        faults.extend(cart.faults());
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        self.hold_in_tx(conn, &mut cart, None).await?;
        cart.add_up();
        repo::insert(conn, &cart).await?;
        Events::publish_in_tx(conn, &[events::of("cart.created", &cart)]).await?;
        Ok(cart)
    }

    async fn prices(&self, conn: &mut PgConnection, lines: &[NewCartLine]) -> Result<HashMap<String, Money>> {
        let skus: Vec<String> = lines.iter().map(|line| line.sku.0.clone()).collect();
        let listed = self.inventory.listed(conn, &skus).await?;
        Ok(listed.into_iter().filter_map(|(sku, listed)| Some((sku, listed.price?))).collect())
    }

    async fn add_in_tx(&self, conn: &mut PgConnection, mut cart: Cart, line: &NewCartLine) -> Result<Cart> {
        cart.check_changeable()?;
        let prices = self.prices(conn, std::slice::from_ref(line)).await?;
        let n = cart.add(line, prices.get(&line.sku.0)).map_err(|fault| Error::Invalid(vec![fault]))?;
        self.settle_in_tx(conn, cart).await.map_err(|error| error.of_line(n))
    }

    async fn change_line_in_tx(
        &self,
        conn: &mut PgConnection,
        mut cart: Cart,
        line: Uuid,
        to: CartLineTerms,
    ) -> Result<Cart> {
        cart.check_changeable()?;
        let n = cart.position(line)?;
        let listed = self.inventory.listed(conn, std::slice::from_ref(&cart.lines[n].sku)).await?;
        let price = listed.into_values().next().and_then(|listed| listed.price);
        let is_held_so = cart.lines[n].quantity == to.quantity.0;
        cart.lines[n].change(to, price);
        let changed = if is_held_so { self.touch_in_tx(conn, cart).await } else { self.settle_in_tx(conn, cart).await };
        changed.map_err(|error| error.of_line(n))
    }

    async fn remove_line_in_tx(&self, conn: &mut PgConnection, mut cart: Cart, line: Uuid) -> Result<Cart> {
        cart.check_changeable()?;
        let n = cart.position(line)?;
        cart.lines.remove(n);
        self.settle_in_tx(conn, cart).await
    }

    async fn change_in_tx(&self, conn: &mut PgConnection, mut cart: Cart, to: CartTerms) -> Result<Cart> {
        cart.check_changeable()?;
        cart.change(to);
        self.touch_in_tx(conn, cart).await
    }

    /// Puts all of `guest` into `cart`, whose hold then holds both.
    async fn merge_in_tx(&self, conn: &mut PgConnection, mut cart: Cart, mut guest: Cart) -> Result<Cart> {
        cart.check_changeable()?;
        guest.check_changeable()?;
        cart.take_in(&guest)?;
        let given_up = guest.reservation_id.take();
        self.hold_in_tx(conn, &mut cart, given_up).await?;
        guest.status = CartStatus::Merged;
        guest.merged_into = Some(cart.id);
        let guest = repo::save(conn, &guest).await?;
        let cart = self.save_in_tx(conn, cart).await?;
        Events::publish_in_tx(conn, &[events::of("cart.merged", &guest)]).await?;
        Ok(cart)
    }

    /// Holds what the cart has now, in place of what it had, and writes it.
    async fn settle_in_tx(&self, conn: &mut PgConnection, mut cart: Cart) -> Result<Cart> {
        check(&cart)?;
        self.hold_in_tx(conn, &mut cart, None).await?;
        self.save_in_tx(conn, cart).await
    }

    /// Lets what the cart holds live on, and writes it: only its terms have changed.
    async fn touch_in_tx(&self, conn: &mut PgConnection, mut cart: Cart) -> Result<Cart> {
        check(&cart)?;
        let alive = match cart.reservation_id {
            Some(id) => self.reservations.prolong_in_tx(conn, id, cart.ttl_seconds).await?,
            None => None,
        };
        match alive {
            Some(reservation) => cart.expires_at = reservation.expires_at,
            None => self.hold_in_tx(conn, &mut cart, None).await?,
        }
        self.save_in_tx(conn, cart).await
    }

    async fn hold_in_tx(&self, conn: &mut PgConnection, cart: &mut Cart, given_up: Option<Uuid>) -> Result<()> {
        let in_place_of: Vec<Uuid> = cart.reservation_id.into_iter().chain(given_up).collect();
        if cart.lines.is_empty() {
            for id in in_place_of {
                self.reservations.give_back_in_tx(conn, id).await?;
            }
            cart.reservation_id = None;
            cart.expires_at = repo::clock(conn).await?.plus_seconds(cart.ttl_seconds).max(cart.expires_at);
            return Ok(());
        }
        let held = self.reservations.hold_in_tx(conn, &cart.request(), &in_place_of).await?;
        cart.is_held_as(&held.lines);
        cart.reservation_id = Some(held.id);
        cart.expires_at = held.expires_at;
        Ok(())
    }

    /// Writes a cart that holds what it has: an abandoned one is open again.
    async fn save_in_tx(&self, conn: &mut PgConnection, mut cart: Cart) -> Result<Cart> {
        let was = std::mem::replace(&mut cart.status, CartStatus::Open);
        cart.add_up();
        let cart = repo::save(conn, &cart).await?;
        if was == CartStatus::Abandoned {
            Events::publish_in_tx(conn, &[events::of("cart.reopened", &cart)]).await?;
        }
        Ok(cart)
    }

    /// Makes an order of it, with what it holds; should that have ended, with what can be had now.
    async fn check_out_in_tx(
        &self,
        conn: &mut PgConnection,
        mut cart: Cart,
        mut new: NewOrder,
        limits: &Limits,
    ) -> Result<Order> {
        cart.check_changeable()?;
        if cart.lines.is_empty() {
            return Err(Error::Empty);
        }
        new.channel = None; // that of the reservation
        new.shipping_price = new.shipping_price.or_else(|| cart.shipping_price.clone());
        new.prices_include_tax = cart.prices_include_tax;
        let order = match self.place_in_tx(conn, &cart, &mut new, limits).await {
            Err(Error::Orders(orders::Error::Reservations(reservations::Error::Ended(
                Status::Expired | Status::Released,
            )))) => {
                self.hold_in_tx(conn, &mut cart, None).await?;
                self.place_in_tx(conn, &cart, &mut new, limits).await?
            }
            placed => placed?,
        };
        cart.status = CartStatus::CheckedOut;
        cart.order_id = Some(order.head.id);
        let cart = repo::save(conn, &cart).await?;
        Events::publish_in_tx(conn, &[events::of("cart.checked_out", &cart)]).await?;
        Ok(order)
    }

    async fn place_in_tx(
        &self,
        conn: &mut PgConnection,
        cart: &Cart,
        new: &mut NewOrder,
        limits: &Limits,
    ) -> Result<Order> {
        let reservation = cart.reservation_id.ok_or(Error::Empty)?;
        new.reservation_id = Some(reservation);
        let terms = cart.terms();
        let reserved = Reserved { new, reservation, limits, terms: Some(&terms) };
        let mut writes = Writes::default();
        let mut reads = Reads::default();
        let asked = self.orders.ask_to_place(&mut reads, [reservation].into_iter());
        let answers = reads.ask_all(conn).await?;
        let mut placed = self.orders.place_reserved_in_tx(conn, &mut writes, &[reserved], &asked, &answers).await?;
        writes.write_out(conn).await?;
        Ok(placed.pop().expect("one for one")?)
    }

    /// Gives its stock back. Giving up twice is fine.
    async fn give_up_in_tx(&self, conn: &mut PgConnection, mut cart: Cart) -> Result<()> {
        cart.check_changeable()?;
        if cart.status == CartStatus::Abandoned {
            return Ok(());
        }
        if let Some(id) = cart.reservation_id {
            self.reservations.give_back_in_tx(conn, id).await?;
        }
        cart.status = CartStatus::Abandoned;
        let cart = repo::save(conn, &cart).await?;
        Ok(Events::publish_in_tx(conn, &[events::of("cart.abandoned", &cart)]).await?)
    }

    /// Marks some of the carts whose time ran out, and publishes it. Their stock is free already: the reservations see to
    /// that. True when there may be more.
    pub async fn abandon_due(&self) -> Result<bool> {
        if !repo::is_any_due(&mut *self.db.conn().await?).await? {
            return Ok(false);
        }
        let mut tx = self.db.begin().await?;
        let abandoned = repo::abandon_due(&mut tx, SWEEP_STRETCH).await?;
        let news: Vec<Event> = abandoned.iter().map(|cart| events::of("cart.abandoned", cart)).collect();
        Events::publish_in_tx(&mut tx, &news).await?;
        tx.commit().await?;
        Ok(!abandoned.is_empty())
    }

    /// Forgets some of the carts that have ended for that many days. True when there may be more.
    pub async fn forget_old(&self, days: i32) -> Result<bool> {
        let forgotten = repo::forget(&mut *self.db.conn().await?, days, FORGOTTEN_AT_ONCE).await?;
        Ok(forgotten == FORGOTTEN_AT_ONCE.unsigned_abs())
    }

    /// Holds the open carts against what is `held` for their reservations, by (reservation, product).
    pub async fn self_check(
        &self,
        conn: &mut PgConnection,
        held: &BTreeMap<(Uuid, String), i64>,
    ) -> sqlx::Result<Vec<Difference>> {
        let wanted = repo::wanted(conn).await?;
        let wrong = wanted.into_iter().filter_map(|((reservation, sku), (cart, quantity))| {
            // What is not held at all has ended, by its time or by somebody's hand.
            let found = *held.get(&(reservation, sku.clone()))?;
            (found != quantity)
                .then(|| Difference::new("cart_is_held", format!("{sku} of cart {cart}"), quantity, found))
        });
        Ok(wrong.collect())
    }
}

fn check(cart: &Cart) -> Result<()> {
    let faults = cart.faults();
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// A cart outside the limits is as good as none.
fn within(cart: Option<Cart>, id: Uuid, limits: &Limits) -> Result<Cart> {
    cart.filter(|cart| cart.is_within(limits)).ok_or(Error::NotFound(id))
}
