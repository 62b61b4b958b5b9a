//! Orders that wait for stock: served as soon as some is free, the oldest first.
//!
//! Stock becomes free in a book (a delivery, a cancellation, a hold that ends), and closing the book
//! serves them then. It also becomes free when the directory changes (a warehouse is activated, a buffer
//! lowered); a worker then goes through all products for which orders wait, and until it is done,
//! whoever promises stock serves them first.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::book::Book;
use super::model::sourcing::{Demand, Sourced};
use super::repo::claims::{Claim, Waiting};
use super::{Inventory, Result, SERVER, events, repo};
use crate::events::{Event, Events};
use crate::platform::db::Writes;
use crate::warehouses::{Directory, Scope};

/// Lines that wait are read in stretches of this many.
const QUEUE_STRETCH: i64 = 500;

/// Products are gone through in stretches of this many.
const PRODUCT_STRETCH: usize = 50;

impl Inventory {
    /// Lets stock of an open book be promised. Orders that wait are served first: with what expired holds
    /// gave up just now, and from all there is, should the directory have changed since it was looked at.
    pub(super) async fn ready_to_promise(&self, conn: &mut PgConnection, mut book: Book) -> Result<(Book, Vec<Event>)> {
        let changed = book.directory().version > self.served_version.load(Ordering::Relaxed);
        let products = if changed { Book::servable } else { Book::newly_servable };
        let products = products(&book);
        let served = self.serve(conn, &mut book, products).await?;
        Ok((book, served))
    }

    /// Serves orders that wait for products of which more is available than when the book was opened.
    pub(super) async fn serve_backorders(
        &self,
        conn: &mut PgConnection,
        writes: &mut Writes,
        book: &mut Book,
    ) -> Result<Vec<Event>> {
        let products = book.newly_servable();
        if !products.is_empty() {
            // Some of those that wait may be about to be written.
            writes.write_out(conn).await?;
        }
        self.serve(conn, book, products).await
    }

    /// Goes through all products for which orders wait, if the directory changed since it last did.
    /// Returns false: one turn does it all.
    pub async fn serve_after_change(&self) -> Result<bool> {
        let version = self.warehouses.directory(&mut *self.db.conn().await?).await?.version;
        if version == self.served_version.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut after = String::new();
        loop {
            let mut tx = self.db.begin().await?;
            let limit = i64::try_from(PRODUCT_STRETCH).expect("small");
            let skus = repo::claims::awaited(&mut tx, &after, limit).await?;
            let Some(last) = skus.last().cloned() else { break };
            after = last;
            let mut book = self.open(&mut tx, skus).await?;
            let products = book.servable();
            let served = self.serve(&mut tx, &mut book, products).await?;
            Events::publish_in_tx(&mut tx, &served).await?;
            self.close_and_tell(&mut tx, book, SERVER).await?;
            tx.commit().await?;
        }
        self.served_version.store(version, Ordering::Relaxed);
        Ok(false)
    }

    /// Gives stock that is free to the orders that wait for these products, the oldest first.
    async fn serve(&self, conn: &mut PgConnection, book: &mut Book, products: Vec<String>) -> Result<Vec<Event>> {
        let mut news = Vec::new();
        for sku in products {
            let groups = repo::claims::waiting_for(conn, &sku).await?;
            let mut scopes = Scopes::new(book.directory());
            let mut after = None;
            loop {
                // Those for whom there is nothing are passed over, however many they are.
                let mut servable = groups.clone();
                servable.retain(|(channel, warehouse)| scopes.has_any(book, &sku, channel, warehouse));
                if servable.is_empty() {
                    break;
                }
                let stretch = repo::claims::queue(conn, &sku, &servable, after, QUEUE_STRETCH).await?;
                let served = serve_stretch(book, &mut scopes, &stretch);
                if !served.is_empty() {
                    let taken: Vec<(Uuid, i64)> =
                        served.iter().map(|(line, sourced)| (line.order_line_id, sourced.quantity())).collect();
                    let claims: Vec<Claim> = served.iter().map(|(line, sourced)| claim_of(line, sourced)).collect();
                    let mut writes = Writes::default();
                    repo::claims::reduce_backorders(&mut writes, &taken);
                    repo::claims::add_allocations(&mut writes, &claims.iter().collect::<Vec<_>>());
                    writes.write_out(conn).await?;
                    let parts = served.iter().flat_map(|(line, s)| s.parts.iter().map(move |part| (line, part)));
                    news.extend(parts.map(|(line, part)| events::backorder_allocated(line, part)));
                }
                after = stretch.last().map(|line| (line.placed_at, line.seq));
                if i64::try_from(stretch.len()).is_ok_and(|n| n < QUEUE_STRETCH) {
                    break;
                }
            }
        }
        Ok(news)
    }
}

/// The scopes of the channels that orders wait for, each made once.
struct Scopes {
    directory: Directory,
    by_channel: HashMap<Option<String>, Scope>,
}

impl Scopes {
    fn new(directory: &Directory) -> Self {
        Self { directory: directory.clone(), by_channel: HashMap::new() }
    }

    fn of(&mut self, channel: &Option<String>) -> &Scope {
        let directory = &self.directory;
        self.by_channel.entry(channel.clone()).or_insert_with(|| directory.scope_of_promises(channel.as_deref()))
    }

    /// Whether there is any of the product for lines of this channel and warehouse.
    fn has_any(&mut self, book: &Book, sku: &str, channel: &Option<String>, warehouse: &Option<String>) -> bool {
        let scope = self.of(channel);
        match warehouse {
            None => book.available(scope, sku) > 0,
            Some(code) => {
                let candidates = scope.candidates.iter().filter(|c| c.code == *code).cloned().collect();
                book.available(&Scope { rules: Vec::new(), candidates }, sku) > 0
            }
        }
    }
}

/// Serves lines that wait, in their order, and changes the book accordingly.
fn serve_stretch<'a>(book: &mut Book, scopes: &mut Scopes, queue: &'a [Waiting]) -> Vec<(&'a Waiting, Sourced)> {
    let mut served = Vec::new();
    for line in queue {
        let demand = Demand { sku: line.sku.clone(), quantity: line.quantity, warehouse: line.warehouse.clone() };
        let Some(sourced) = book.source_from_stock(scopes.of(&line.channel), &[demand]).pop() else { continue };
        if sourced.quantity() > 0 {
            book.serve_backorder(&line.sku, &sourced.parts);
            served.push((line, sourced));
        }
    }
    served
}

fn claim_of(line: &Waiting, sourced: &Sourced) -> Claim {
    let (order_line_id, order_id, sku) = (line.order_line_id, line.order_id, line.sku.clone());
    Claim { order_line_id, order_id, sku, sourced: sourced.clone() }
}
