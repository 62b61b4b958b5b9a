//! Products and their barcodes. One statement for a batch, whatever its size; rows are written in the
//! order of their key, so two batches that overlap wait for each other and do not deadlock.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde_json::Value;
use sqlx::PgConnection;

use crate::inventory::model::product::{Availability, Barcode, Listed, NewProduct, Preorder, Product, Sku, Tracking};
use crate::platform::clock::Timestamp;
use crate::platform::db::json::to_json;
use crate::platform::db::{Asked, Reads, add_read};
use crate::platform::money::Money;

struct ProductRow {
    sku: String,
    name: String,
    description: String,
    category: Option<String>,
    attributes: Value,
    barcodes: Vec<String>,
    unit: String,
    packs: Value,
    price_amount: Option<i64>,
    price_currency: Option<String>,
    tracking: String,
    parent: Option<String>,
    options: Value,
    substitutes: Vec<String>,
    backorder_limit: i64,
    preorder_release: Option<NaiveDate>,
    preorder_limit: Option<i64>,
    discontinued: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<ProductRow> for Product {
    fn from(row: ProductRow) -> Self {
        let preorder = row.preorder_release.zip(row.preorder_limit);
        let fields = NewProduct {
            sku: Sku(row.sku),
            name: row.name,
            description: row.description,
            category: row.category,
            attributes: serde_json::from_value(row.attributes).unwrap_or_default(),
            barcodes: row.barcodes.into_iter().map(Barcode).collect(),
            unit: row.unit,
            packs: serde_json::from_value(row.packs).unwrap_or_default(),
            price: Money::from_columns(row.price_amount, row.price_currency),
            tracking: Tracking::parse(&row.tracking),
            parent: row.parent.map(Sku),
            options: serde_json::from_value(row.options).unwrap_or_default(),
            substitutes: row.substitutes.into_iter().map(Sku).collect(),
            availability: Availability {
                backorder_limit: row.backorder_limit,
                preorder: preorder.map(|(release_date, limit)| Preorder { release_date, limit }),
                discontinued: row.discontinued,
            },
        };
        Product { fields, created_at: row.created_at, updated_at: row.updated_at }
    }
}

/// What to list of the products. All that is given must fit.
#[derive(Debug, Default)]
pub struct Filter {
    pub category: Option<String>,
    pub parent: Option<String>,
    pub barcode: Option<String>,
    pub tracking: Option<Tracking>,
    /// Words to find in sku, name, category or description
    pub q: Option<String>,
}

/// In the order of their sku, after the sku `after`.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<Product>> {
    let (words, prefix) = filter.q.as_deref().map(search_terms).unwrap_or_default();
    let rows = sqlx::query_as!(
        ProductRow,
        r#"SELECT p.sku, p.name, p.description, p.category, p.attributes, p.unit, p.packs, p.price_amount,
                  p.price_currency, p.tracking, p.parent, p.options, p.substitutes, p.backorder_limit,
                  p.preorder_release, p.preorder_limit, p.discontinued,
                  ARRAY(SELECT b.code FROM inventory.barcodes b WHERE b.sku = p.sku ORDER BY b.position) AS "barcodes!",
                  p.created_at AS "created_at: Timestamp", p.updated_at AS "updated_at: Timestamp"
           FROM inventory.products p
           WHERE ($1::text IS NULL OR p.sku > $1)
             AND ($2::text IS NULL OR p.category = $2)
             AND ($3::text IS NULL OR p.parent = $3)
             AND ($4::text IS NULL OR p.tracking = $4)
             AND ($5::text IS NULL OR p.sku = (SELECT b.sku FROM inventory.barcodes b WHERE b.code = $5))
             AND (($6::text IS NULL AND $7::text IS NULL)
                  OR p.search @@ coalesce(websearch_to_tsquery('simple', $6) && to_tsquery('simple', $7),
                                          websearch_to_tsquery('simple', $6), to_tsquery('simple', $7)))
           ORDER BY p.sku LIMIT $8"#,
        after,
        filter.category.as_deref(),
        filter.parent.as_deref(),
        filter.tracking.map(Tracking::as_str),
        filter.barcode.as_deref(),
        words,
        prefix,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Product::from).collect())
}

/// Splits a search into whole words, and the beginning of a last word that may still be being typed. A
/// last word that is more than letters and digits, or part of a phrase or of an `or`, stays whole.
fn search_terms(q: &str) -> (Option<String>, Option<String>) {
    let q = q.trim();
    let (rest, last) = q.rsplit_once(char::is_whitespace).unwrap_or(("", q));
    let rest = rest.trim_end();
    let in_phrase = rest.matches('"').count() % 2 == 1;
    let after_or = rest.split_whitespace().next_back().is_some_and(|word| word.eq_ignore_ascii_case("or"));
    if last.is_empty() || !last.chars().all(char::is_alphanumeric) || in_phrase || after_or {
        return (Some(q.to_owned()), None);
    }
    let words = if rest.is_empty() { None } else { Some(rest.to_owned()) };
    (words, Some(format!("{last}:*")))
}

/// Those of these products that exist, in the order of their sku.
pub async fn find(conn: &mut PgConnection, skus: &[&str]) -> sqlx::Result<Vec<Product>> {
    let rows = sqlx::query_as!(
        ProductRow,
        r#"SELECT p.sku, p.name, p.description, p.category, p.attributes, p.unit, p.packs, p.price_amount,
                  p.price_currency, p.tracking, p.parent, p.options, p.substitutes, p.backorder_limit,
                  p.preorder_release, p.preorder_limit, p.discontinued,
                  ARRAY(SELECT b.code FROM inventory.barcodes b WHERE b.sku = p.sku ORDER BY b.position) AS "barcodes!",
                  p.created_at AS "created_at: Timestamp", p.updated_at AS "updated_at: Timestamp"
           FROM inventory.products p WHERE p.sku = ANY ($1) ORDER BY p.sku"#,
        skus as &[&str]
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Product::from).collect())
}

/// Which of these products exist.
pub async fn existing(conn: &mut PgConnection, skus: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT sku FROM inventory.products WHERE sku = ANY ($1)", skus).fetch_all(conn).await
}

/// The same, and keeps them from being deleted until the transaction ends. Stock may change meanwhile.
pub async fn pin(conn: &mut PgConnection, skus: &[&str]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT sku FROM inventory.products WHERE sku = ANY ($1) ORDER BY sku FOR KEY SHARE",
        skus as &[&str]
    )
    .fetch_all(conn)
    .await
}

/// Keeps everybody else from changing the product or its stock.
pub async fn lock(conn: &mut PgConnection, sku: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM inventory.products WHERE sku = $1 FOR NO KEY UPDATE", sku).execute(conn).await?;
    Ok(())
}

/// The same, and waits for those who [`pin`] it: whoever names the product is visible afterwards.
pub async fn lock_for_delete(conn: &mut PgConnection, sku: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM inventory.products WHERE sku = $1 FOR UPDATE", sku).execute(conn).await?;
    Ok(())
}

/// Inserts products without their barcodes; returns the skus of those that were not there yet.
pub async fn insert(conn: &mut PgConnection, products: &[&NewProduct]) -> sqlx::Result<Vec<String>> {
    let text = |of: fn(&NewProduct) -> Option<&str>| products.iter().map(|p| of(p)).collect::<Vec<Option<&str>>>();
    let number = |of: fn(&NewProduct) -> Option<i64>| products.iter().map(|p| of(p)).collect::<Vec<Option<i64>>>();
    let attributes: Vec<Value> = products.iter().map(|p| Value::Object(p.attributes.clone())).collect();
    let packs = products.iter().map(|p| to_json(&p.packs)).collect::<sqlx::Result<Vec<Value>>>()?;
    let options = products.iter().map(|p| to_json(&p.options)).collect::<sqlx::Result<Vec<Value>>>()?;
    let substitutes = products.iter().map(|p| to_json(&p.substitutes)).collect::<sqlx::Result<Vec<Value>>>()?;
    let releases: Vec<Option<NaiveDate>> =
        products.iter().map(|p| p.availability.preorder.as_ref().map(|pre| pre.release_date)).collect();
    let discontinued: Vec<bool> = products.iter().map(|p| p.availability.discontinued).collect();
    sqlx::query_scalar!(
        "INSERT INTO inventory.products (sku, name, description, category, attributes, unit, packs, price_amount,
                                         price_currency, tracking, parent, options, substitutes, backorder_limit,
                                         preorder_release, preorder_limit, discontinued)
         SELECT p.sku, p.name, p.description, p.category, p.attributes, p.unit, p.packs, p.price_amount,
                p.price_currency, p.tracking, p.parent, p.options,
                ARRAY(SELECT jsonb_array_elements_text(p.substitutes)), p.backorder_limit,
                p.preorder_release, p.preorder_limit, p.discontinued
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::jsonb[], $8::bigint[],
                     $9::text[], $10::text[], $11::text[], $12::jsonb[], $13::jsonb[], $14::bigint[], $15::date[],
                     $16::bigint[], $17::boolean[])
              AS p (sku, name, description, category, attributes, unit, packs, price_amount, price_currency, tracking,
                    parent, options, substitutes, backorder_limit, preorder_release, preorder_limit, discontinued)
         ORDER BY p.sku ON CONFLICT DO NOTHING RETURNING sku",
        &text(|p| Some(&p.sku.0)) as &[Option<&str>],
        &text(|p| Some(&p.name)) as &[Option<&str>],
        &text(|p| Some(&p.description)) as &[Option<&str>],
        &text(|p| p.category.as_deref()) as &[Option<&str>],
        &attributes as &[Value],
        &text(|p| Some(&p.unit)) as &[Option<&str>],
        &packs as &[Value],
        &number(|p| p.price.as_ref().map(|price| price.amount)) as &[Option<i64>],
        &text(|p| p.price.as_ref().map(|price| price.currency.as_str())) as &[Option<&str>],
        &text(|p| Some(p.tracking.as_str())) as &[Option<&str>],
        &text(|p| p.parent.as_ref().map(|parent| parent.0.as_str())) as &[Option<&str>],
        &options as &[Value],
        &substitutes as &[Value],
        &number(|p| Some(p.availability.backorder_limit)) as &[Option<i64>],
        &releases as &[Option<NaiveDate>],
        &number(|p| p.availability.preorder.as_ref().map(|pre| pre.limit)) as &[Option<i64>],
        &discontinued
    )
    .fetch_all(conn)
    .await
}

/// Everything but barcodes and the sku.
pub async fn update(conn: &mut PgConnection, fields: &NewProduct) -> sqlx::Result<()> {
    let substitutes: Vec<&str> = fields.substitutes.iter().map(|sku| sku.0.as_str()).collect();
    let preorder = fields.availability.preorder.as_ref();
    sqlx::query!(
        "UPDATE inventory.products
         SET name = $2, description = $3, category = $4, attributes = $5, unit = $6, packs = $7, price_amount = $8,
             price_currency = $9, tracking = $10, parent = $11, options = $12, substitutes = $13, backorder_limit = $14,
             preorder_release = $15, preorder_limit = $16, discontinued = $17, updated_at = clock_timestamp()
         WHERE sku = $1",
        fields.sku.0,
        fields.name,
        fields.description,
        fields.category.as_deref(),
        Value::Object(fields.attributes.clone()),
        fields.unit,
        to_json(&fields.packs)?,
        fields.price.as_ref().map(|price| price.amount),
        fields.price.as_ref().map(|price| price.currency.as_str()),
        fields.tracking.as_str(),
        fields.parent.as_ref().map(|parent| parent.0.as_str()),
        to_json(&fields.options)?,
        &substitutes as &[&str],
        fields.availability.backorder_limit,
        preorder.map(|pre| pre.release_date),
        preorder.map(|pre| pre.limit),
        fields.availability.discontinued
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes products and, with them, their barcodes.
pub async fn delete(conn: &mut PgConnection, skus: &[String]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM inventory.products WHERE sku = ANY ($1)", skus).execute(conn).await?;
    Ok(())
}

/// Inserts the barcodes of these products, which exist; returns how many were free.
pub async fn insert_barcodes(conn: &mut PgConnection, products: &[&NewProduct]) -> sqlx::Result<u64> {
    let mut rows: (Vec<&str>, Vec<&str>, Vec<i32>) = Default::default();
    for product in products {
        for (barcode, position) in product.barcodes.iter().zip(0..) {
            rows.0.push(&barcode.0);
            rows.1.push(&product.sku.0);
            rows.2.push(position);
        }
    }
    if rows.0.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        "INSERT INTO inventory.barcodes (code, sku, position)
         SELECT * FROM unnest($1::text[], $2::text[], $3::int[]) AS b (code, sku, position)
         ORDER BY b.code ON CONFLICT DO NOTHING",
        &rows.0 as &[&str],
        &rows.1 as &[&str],
        &rows.2
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Gives a product the barcodes that `fields` lists, and no others; returns how many of them were free.
pub async fn replace_barcodes(conn: &mut PgConnection, fields: &NewProduct) -> sqlx::Result<u64> {
    sqlx::query!("DELETE FROM inventory.barcodes WHERE sku = $1", fields.sku.0).execute(&mut *conn).await?;
    insert_barcodes(conn, &[fields]).await
}

/// To which product each of these barcodes belongs; free ones are left out.
pub async fn barcode_owners(conn: &mut PgConnection, codes: &[&str]) -> sqlx::Result<HashMap<String, String>> {
    if codes.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!("SELECT code, sku FROM inventory.barcodes WHERE code = ANY ($1)", codes as &[&str])
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.code, row.sku)).collect())
}

/// The substitutes of each of these products that has any, the best first.
pub async fn substitutes(conn: &mut PgConnection, skus: &[String]) -> sqlx::Result<Vec<(String, Vec<String>)>> {
    let rows = sqlx::query!(
        "SELECT sku, substitutes FROM inventory.products WHERE sku = ANY ($1) AND substitutes <> '{}'",
        skus
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.substitutes)).collect())
}

/// What depends on a product.
#[derive(Debug, Default)]
pub struct Usage {
    pub stock: bool,
    pub incoming: bool,
    pub holds: bool,
    pub allocations: bool,
    pub backorders: bool,
    /// A product that names it as its parent
    pub variant: Option<String>,
}

pub async fn usage(conn: &mut PgConnection, sku: &str) -> sqlx::Result<Usage> {
    sqlx::query_as!(
        Usage,
        r#"SELECT EXISTS (SELECT FROM inventory.levels WHERE sku = $1 AND on_hand > 0) AS "stock!",
                  EXISTS (SELECT FROM inventory.levels WHERE sku = $1 AND incoming > 0) AS "incoming!",
                  EXISTS (SELECT FROM inventory.holds WHERE sku = $1) AS "holds!",
                  EXISTS (SELECT FROM inventory.allocations WHERE sku = $1) AS "allocations!",
                  EXISTS (SELECT FROM inventory.backorders WHERE sku = $1) AS "backorders!",
                  (SELECT v.sku FROM inventory.products v WHERE v.parent = $1 ORDER BY v.sku LIMIT 1) AS variant"#,
        sku
    )
    .fetch_one(conn)
    .await
}

pub fn ask_for_listed(reads: &mut Reads, skus: &[String]) -> Asked<(String, Listed)> {
    add_read!(
        reads,
        "SELECT sku, price_amount, price_currency, preorder_release FROM inventory.products WHERE sku = ANY ($1)",
        [skus],
        |row| {
            let price = Money::from_columns(row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, Listed { price, release_date: row.get(3)? }))
        }
    )
}

pub async fn names(conn: &mut PgConnection, skus: &[String]) -> sqlx::Result<HashMap<String, String>> {
    let rows =
        sqlx::query!("SELECT sku, name FROM inventory.products WHERE sku = ANY ($1)", skus).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_search_may_be_unfinished() {
        for (q, words, prefix) in [
            ("ass", None, Some("ass:*")),
            (" assam  te ", Some("assam"), Some("te:*")),
            ("TEA-1", Some("TEA-1"), None),
            ("assam TEA-1", Some("assam TEA-1"), None),
            ("\"assam te", Some("\"assam te"), None),
            ("\"assam tea\" bl", Some("\"assam tea\""), Some("bl:*")),
            ("assam OR dar", Some("assam OR dar"), None),
            ("  ", Some(""), None),
        ] {
            let expected = (words.map(str::to_owned), prefix.map(str::to_owned));
            assert_eq!(search_terms(q), expected, "{q}");
        }
    }
}
