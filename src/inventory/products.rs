//! Products: what is sold, and how it may be sold.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sqlx::PgConnection;

use super::model::book::Book;
use super::model::product::{NewProduct, Product};
use super::model::views::Substitute;
use super::repo::levels::ProductStock;
use super::repo::products::{Filter, Usage};
use super::{Error, Inventory, Result, SERVER, events, repo};
use crate::events::Events;
use crate::platform::page::{Page, PageRequest, TextKey};
use crate::platform::problem::Fault;
use crate::warehouses::Scope;

/// Of each short product, as many substitutes are offered at most.
const MAX_OFFERED: usize = 5;

impl Inventory {
    pub(super) async fn list_products(&self, filter: &Filter, page: PageRequest<TextKey>) -> Result<Page<Product>> {
        let mut conn = self.db.conn().await?;
        let after = page.after.as_ref().map(|key| key.0.as_str());
        let rows = repo::products::list(&mut conn, filter, after, page.fetch()).await?;
        Ok(page.page(rows, |row| TextKey(row.fields.sku.0.clone())))
    }

    pub(super) async fn get_product(&self, sku: &str) -> Result<Product> {
        self.get_product_in_tx(&mut *self.db.conn().await?, sku).await
    }

    async fn get_product_in_tx(&self, conn: &mut PgConnection, sku: &str) -> Result<Product> {
        let found = repo::products::find(conn, &[sku]).await?.pop();
        found.ok_or_else(|| Error::NoProduct(sku.to_owned()))
    }

    /// Creates each product on its own, in order; one that is refused does not fail its neighbours. Of
    /// two with one sku or barcode the first wins. They may name each other as parent or substitute.
    ///
    /// Refused are products that exist, barcodes that are taken, and what [`NewProduct::faults`] or a
    /// name that stands for nothing makes invalid.
    pub(super) async fn create_products_in_tx(
        &self,
        conn: &mut PgConnection,
        new: &[NewProduct],
    ) -> Result<Vec<Result<Product>>> {
        // A round that does not end the loop was lost to a commit that the next round sees.
        let outcomes = loop {
            let outcomes = decide(new, &read_known(conn, new).await?);
            let accepted = new.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
            let accepted: Vec<&NewProduct> = accepted.map(|(product, _)| product).collect();
            if insert_all(conn, &accepted).await? {
                break outcomes;
            }
        };
        let decided = new.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
        let skus: Vec<&str> = decided.map(|(product, _)| product.sku.0.as_str()).collect();
        let created = repo::products::find(conn, &skus).await?;
        let mut created: HashMap<String, Product> =
            created.into_iter().map(|product| (product.fields.sku.0.clone(), product)).collect();
        let answers = new.iter().zip(outcomes).map(|(product, outcome)| {
            outcome?;
            Ok(created.remove(&product.sku.0).expect("inserted above, and nobody else sees it yet"))
        });
        let answers: Vec<Result<Product>> = answers.collect();
        let published: Vec<_> = answers.iter().flatten().map(|p| events::product("product.created", p)).collect();
        Events::publish_in_tx(conn, &published).await?;
        Ok(answers)
    }

    /// Keeps everybody else from changing the product or its stock, and reads it.
    pub(super) async fn lock_product_in_tx(&self, conn: &mut PgConnection, sku: &str) -> Result<Product> {
        repo::products::lock(conn, sku).await?;
        self.get_product_in_tx(conn, sku).await
    }

    /// Changes a product that is locked. Limits may go below what is promised already: that stops new
    /// promises and breaks none. Substitutes that are gone may stay in the list, new ones must exist.
    pub(super) async fn update_product_in_tx(
        &self,
        conn: &mut PgConnection,
        current: &Product,
        fields: &NewProduct,
    ) -> Result<Product> {
        let current = &current.fields;
        let sku = current.sku.0.as_str();
        if fields.sku != current.sku {
            return Err(Error::SkuIsFixed);
        }
        let named = fields.named();
        let found = repo::products::pin(conn, &named.iter().map(|(_, sku)| *sku).collect::<Vec<&str>>()).await?;
        let mut faults = fields.faults();
        faults.extend(unknown(&named, |pointer, sku| {
            let listed_before = pointer != "/parent" && current.substitutes.iter().any(|s| s.0 == sku);
            listed_before || found.iter().any(|f| f == sku)
        }));
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        // The book knows the policy as it was, so it sees what the change does to the product's state.
        let mut book = self.open(conn, vec![sku.to_owned()]).await?;
        book.set_policy(sku, fields.availability.policy());
        repo::products::update(conn, fields).await?;
        replace_barcodes(conn, fields).await?;
        self.close_and_tell(conn, book, SERVER).await?;
        let updated = self.get_product_in_tx(conn, sku).await?;
        Events::publish_in_tx(conn, &[events::product("product.updated", &updated)]).await?;
        Ok(updated)
    }

    /// Deletes a product of which nothing is there, expected or promised, and which has no variants. The
    /// ledger keeps naming it, and so may other products as their substitute: it is no longer offered.
    pub(super) async fn delete_product_in_tx(&self, conn: &mut PgConnection, sku: &str) -> Result<()> {
        repo::products::lock_for_delete(conn, sku).await?;
        // Opening and closing gives up holds that have expired: they do not count.
        let book = self.open(conn, vec![sku.to_owned()]).await?;
        self.close_and_tell(conn, book, SERVER).await?;
        if let Some(detail) = in_use(&repo::products::usage(conn, sku).await?) {
            return Err(Error::InUse(detail));
        }
        repo::levels::delete_of_product(conn, sku).await?;
        repo::products::delete(conn, &[sku.to_owned()]).await?;
        Events::publish_in_tx(conn, &[events::product_deleted(sku)]).await?;
        Ok(())
    }

    /// For each of these products, what is in stock in its place within the scope, the best first. Of the
    /// book's own products it tells what the book has left; others are read without lock.
    pub(super) async fn substitutes(
        &self,
        conn: &mut PgConnection,
        scope: &Scope,
        book: &Book,
        skus: &[String],
    ) -> Result<BTreeMap<String, Vec<Substitute>>> {
        let named = repo::products::substitutes(conn, skus).await?;
        let others = named.iter().flat_map(|(_, list)| list).filter(|sku| book.item(sku).is_none());
        let others: Vec<String> = others.collect::<BTreeSet<&String>>().into_iter().cloned().collect();
        let stock = if others.is_empty() { BTreeMap::new() } else { repo::levels::read(conn, &others).await?.1 };
        let available = |sku: &str| match stock.get(sku) {
            Some(stock) => available_in(scope, stock),
            None => book.available(scope, sku),
        };
        let offers = named.into_iter().map(|(sku, list)| {
            let list = list.into_iter().map(|sku| Substitute { available: available(&sku), sku });
            (sku, list.filter(|substitute| substitute.available > 0).take(MAX_OFFERED).collect())
        });
        Ok(offers.collect())
    }
}

/// What a scope could sell of a product now.
fn available_in(scope: &Scope, stock: &ProductStock) -> i64 {
    let parts = scope.candidates.iter().filter_map(|candidate| {
        let (level, _) = stock.levels.get(&candidate.code)?;
        Some((level.available() - candidate.buffer).max(0))
    });
    parts.sum()
}

fn in_use(usage: &Usage) -> Option<String> {
    let reasons = [
        (usage.stock, "there is stock of it"),
        (usage.incoming, "some of it is on its way to a warehouse"),
        (usage.holds, "reservations hold some of it"),
        (usage.allocations, "some of it is allocated to orders"),
        (usage.backorders, "orders wait for it"),
    ];
    let reason = reasons.into_iter().find(|(applies, _)| *applies).map(|(_, reason)| reason.to_owned());
    reason.or_else(|| usage.variant.as_ref().map(|variant| format!("it is the parent of {variant}")))
}

/// Inserts all of these products with their barcodes, or, when somebody else was faster with a sku or a
/// barcode, none of them: false.
async fn insert_all(conn: &mut PgConnection, products: &[&NewProduct]) -> sqlx::Result<bool> {
    if products.is_empty() {
        return Ok(true);
    }
    let barcodes: usize = products.iter().map(|product| product.barcodes.len()).sum();
    let inserted = repo::products::insert(conn, products).await?;
    // Only when all skus are ours: barcodes must not end up at somebody else's product.
    let complete = inserted.len() == products.len()
        && usize::try_from(repo::products::insert_barcodes(conn, products).await?).is_ok_and(|n| n == barcodes);
    if !complete {
        repo::products::delete(conn, &inserted).await?;
    }
    Ok(complete)
}

/// Gives the product its barcodes, unless one belongs to another.
async fn replace_barcodes(conn: &mut PgConnection, fields: &NewProduct) -> Result<()> {
    let codes: Vec<&str> = fields.barcodes.iter().map(|barcode| barcode.0.as_str()).collect();
    loop {
        let free = repo::products::replace_barcodes(conn, fields).await?;
        if usize::try_from(free).is_ok_and(|n| n == codes.len()) {
            return Ok(());
        }
        let owners = repo::products::barcode_owners(conn, &codes).await?;
        // Nobody: the other has given it up in between, so it can be had now.
        if let Some((barcode, sku)) = owners.into_iter().find(|(_, owner)| *owner != fields.sku.0) {
            return Err(Error::BarcodeTaken { barcode, sku });
        }
    }
}

/// What is there already of that which a batch wants to create, or names.
#[derive(Debug, Default)]
struct Known {
    skus: HashSet<String>,
    /// The product that each barcode belongs to
    barcodes: HashMap<String, String>,
}

/// Keeps what it finds from being deleted until the transaction ends: a variant must not lose its parent.
async fn read_known(conn: &mut PgConnection, new: &[NewProduct]) -> sqlx::Result<Known> {
    let named = new.iter().flat_map(|product| product.named()).map(|(_, sku)| sku);
    let skus: BTreeSet<&str> = new.iter().map(|product| product.sku.0.as_str()).chain(named).collect();
    let codes = new.iter().flat_map(|product| &product.barcodes);
    let codes: Vec<&str> = codes.map(|barcode| barcode.0.as_str()).collect();
    let skus = repo::products::pin(conn, &skus.into_iter().collect::<Vec<&str>>()).await?;
    let barcodes = repo::products::barcode_owners(conn, &codes).await?;
    Ok(Known { skus: skus.into_iter().collect(), barcodes })
}

/// A product of a batch, with what can be said of it once and for all.
struct Candidate<'a> {
    product: &'a NewProduct,
    faults: Vec<Fault>,
    named: Vec<(String, &'a str)>,
}

/// Which products of a batch can be created. Refusing one may leave another naming nothing, so this goes
/// round until nobody else is refused for that.
fn decide(new: &[NewProduct], known: &Known) -> Vec<Result<()>> {
    let candidates = new.iter().map(|product| Candidate { product, faults: product.faults(), named: product.named() });
    let candidates: Vec<Candidate<'_>> = candidates.collect();
    let mut nameable: HashSet<&str> = new.iter().map(|product| product.sku.0.as_str()).collect();
    loop {
        let outcomes = judge(&candidates, known, &nameable);
        let accepted = new.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
        let accepted: HashSet<&str> = accepted.map(|(product, _)| product.sku.0.as_str()).collect();
        let before = nameable.len();
        nameable.retain(|sku| accepted.contains(sku));
        if nameable.len() == before {
            return outcomes;
        }
    }
}

/// One round: `nameable` are the products of the batch that may be named.
fn judge(candidates: &[Candidate<'_>], known: &Known, nameable: &HashSet<&str>) -> Vec<Result<()>> {
    let mut skus: HashSet<&str> = HashSet::new();
    let mut barcodes: HashMap<&str, &str> = HashMap::new();
    let mut outcomes = Vec::with_capacity(candidates.len());
    for Candidate { product, faults, named } in candidates {
        let sku = product.sku.0.as_str();
        let unknown = unknown(named, |_, sku| known.skus.contains(sku) || nameable.contains(sku));
        let owner = |code: &str| known.barcodes.get(code).map(String::as_str).or_else(|| barcodes.get(code).copied());
        let taken = product.barcodes.iter().find_map(|barcode| Some((barcode, owner(&barcode.0)?)));
        outcomes.push(if !faults.is_empty() || !unknown.is_empty() {
            Err(Error::Invalid(faults.iter().cloned().chain(unknown).collect()))
        } else if known.skus.contains(sku) || skus.contains(sku) {
            Err(Error::ProductExists(sku.to_owned()))
        } else if let Some((barcode, owner)) = taken {
            Err(Error::BarcodeTaken { barcode: barcode.0.clone(), sku: owner.to_owned() })
        } else {
            skus.insert(sku);
            barcodes.extend(product.barcodes.iter().map(|barcode| (barcode.0.as_str(), sku)));
            Ok(())
        });
    }
    outcomes
}

/// A fault for each product that is named and is not there; `exists` is asked with the pointer and the sku.
fn unknown(named: &[(String, &str)], exists: impl Fn(&str, &str) -> bool) -> Vec<Fault> {
    let missing = named.iter().filter(|(pointer, sku)| !exists(pointer, sku));
    missing.map(|(pointer, sku)| Fault::new(pointer, "unknown", format!("there is no product {sku}"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn products(values: &[Value]) -> Vec<NewProduct> {
        let named = values.iter().cloned().map(|mut value| {
            value["name"] = json!("x");
            serde_json::from_value(value).expect("a product")
        });
        named.collect()
    }

    fn decided(values: &[Value]) -> Vec<String> {
        let known =
            Known { skus: ["OLD".to_owned()].into(), barcodes: [("OLD-CODE".to_owned(), "OLD".to_owned())].into() };
        let outcomes = decide(&products(values), &known).into_iter().map(|outcome| match outcome {
            Ok(()) => "created".to_owned(),
            Err(Error::Invalid(faults)) => {
                faults.iter().map(|f| format!("{} {}", f.pointer, f.code)).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        });
        outcomes.collect()
    }

    #[test]
    fn the_first_of_two_wins() {
        let found = decided(&[
            json!({"sku": "A", "barcodes": ["ONE"]}),
            json!({"sku": "A"}),
            json!({"sku": "B", "barcodes": ["ONE"]}),
            json!({"sku": "C", "barcodes": ["OLD-CODE"]}),
            json!({"sku": "OLD"}),
        ]);
        let expected = [
            "created",
            "there is a product A already",
            "the barcode ONE belongs to A",
            "the barcode OLD-CODE belongs to OLD",
            "there is a product OLD already",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn one_that_is_refused_leaves_its_sku_to_the_next() {
        let found = decided(&[json!({"sku": "A", "parent": "NONE"}), json!({"sku": "A"})]);
        assert_eq!(found, ["/parent unknown", "created"]);
    }

    #[test]
    fn products_of_a_batch_may_name_each_other() {
        let found = decided(&[
            json!({"sku": "A", "substitutes": ["B", "OLD"]}),
            json!({"sku": "B", "parent": "A"}),
            json!({"sku": "C", "parent": "D", "substitutes": ["A", "NONE"]}),
            json!({"sku": "E", "parent": "F"}),
            json!({"sku": "F", "barcodes": ["OLD-CODE"]}),
            json!({"sku": "G", "parent": "E"}),
        ]);
        let expected = [
            "created",
            "created",
            "/parent unknown, /substitutes/1 unknown",
            "/parent unknown",
            "the barcode OLD-CODE belongs to OLD",
            "/parent unknown",
        ];
        assert_eq!(found, expected);
    }
}
