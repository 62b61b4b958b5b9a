//! Schema `customers`.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Consent, ConsentChange, CustomerFields, Filter, KnownCustomer};
use crate::platform::Caller;
use crate::platform::clock::Timestamp;
use crate::platform::db::json::{from_json, to_json};

pub(super) async fn clock(conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!: Timestamp""#).fetch_one(conn).await
}

struct Row {
    id: Uuid,
    reference: Option<String>,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    language: Option<String>,
    addresses: Value,
    marketing: bool,
    order_updates: bool,
    consent_source: Option<String>,
    note: Option<String>,
    attributes: Value,
    erased_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for KnownCustomer {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let Row { marketing, order_updates, consent_source: source, .. } = row;
        let fields = CustomerFields {
            reference: row.reference,
            name: row.name,
            email: row.email,
            phone: row.phone,
            language: row.language,
            addresses: from_json(row.addresses)?,
            consent: Consent { marketing, order_updates, source },
            note: row.note,
            attributes: from_json(row.attributes)?,
        };
        let Row { id, erased_at, created_at, updated_at, .. } = row;
        Ok(Self { id, fields, erased_at, created_at, updated_at })
    }
}

/// Writes all of a customer, new or not.
pub(super) async fn save(conn: &mut PgConnection, customer: &KnownCustomer) -> sqlx::Result<()> {
    let KnownCustomer { id, fields, erased_at, created_at, updated_at } = customer;
    sqlx::query!(
        "INSERT INTO customers.customers AS c (id, reference, name, email, phone, language, addresses, marketing,
             order_updates, consent_source, note, attributes, erased_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (id) DO UPDATE SET reference = excluded.reference, name = excluded.name, email = excluded.email,
             phone = excluded.phone, language = excluded.language, addresses = excluded.addresses,
             marketing = excluded.marketing, order_updates = excluded.order_updates,
             consent_source = excluded.consent_source, note = excluded.note, attributes = excluded.attributes,
             erased_at = excluded.erased_at, updated_at = excluded.updated_at",
        id,
        fields.reference,
        fields.name,
        fields.email,
        fields.phone,
        fields.language,
        to_json(&fields.addresses)?,
        fields.consent.marketing,
        fields.consent.order_updates,
        fields.consent.source,
        fields.note,
        to_json(&fields.attributes)?,
        *erased_at as Option<Timestamp>,
        *created_at as Timestamp,
        *updated_at as Timestamp
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down what was consented to, or no longer is. By the server, when there is no caller.
pub(super) async fn add_consents(
    conn: &mut PgConnection,
    customer: &KnownCustomer,
    changes: &[(&'static str, bool)],
    by: Option<&Caller>,
) -> sqlx::Result<()> {
    let (purposes, granted): (Vec<&str>, Vec<bool>) = changes.iter().copied().unzip();
    sqlx::query!(
        "INSERT INTO customers.consents (customer_id, purpose, granted, source, by_kind, by_id, at)
         SELECT $1, purpose, granted, $4, $5, $6, $7 FROM unnest($2::text[], $3::bool[]) AS c (purpose, granted)",
        customer.id,
        &purposes as &[&str],
        &granted,
        customer.fields.consent.source,
        by.map_or("server", |caller| caller.kind.as_str()),
        by.map(|caller| caller.id),
        customer.updated_at as Timestamp
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// In the order in which they were written down.
pub(super) async fn consents(conn: &mut PgConnection, customer: Uuid) -> sqlx::Result<Vec<ConsentChange>> {
    sqlx::query_as!(
        ConsentChange,
        r#"SELECT purpose, granted, source, by_kind, by_id, at AS "at: Timestamp"
           FROM customers.consents WHERE customer_id = $1 ORDER BY id"#,
        customer
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<KnownCustomer>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, reference, name, email, phone, language, addresses, marketing, order_updates, consent_source, note,
                  attributes, erased_at AS "erased_at: Timestamp", created_at AS "created_at: Timestamp",
                  updated_at AS "updated_at: Timestamp"
           FROM customers.customers WHERE id = $1"#,
        id
    );
    row.fetch_optional(conn).await?.map(KnownCustomer::try_from).transpose()
}

/// Nobody else changes it meanwhile, nor orders for it.
pub(super) async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<KnownCustomer>> {
    sqlx::query!("SELECT FROM customers.customers WHERE id = $1 FOR UPDATE", id).fetch_optional(&mut *conn).await?;
    find(conn, id).await
}

/// Those of these that exist and are not erased; they are not, until this ends.
pub(super) async fn pin(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashMap<Uuid, KnownCustomer>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, reference, name, email, phone, language, addresses, marketing, order_updates, consent_source, note,
                  attributes, erased_at AS "erased_at: Timestamp", created_at AS "created_at: Timestamp",
                  updated_at AS "updated_at: Timestamp"
           FROM customers.customers WHERE id = ANY ($1) AND erased_at IS NULL ORDER BY id FOR SHARE"#,
        ids
    );
    let rows = rows.fetch_all(conn).await?;
    rows.into_iter().map(|row| Ok((row.id, KnownCustomer::try_from(row)?))).collect()
}

/// Those of these who want no mails on their orders.
pub(super) async fn refusing_updates(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    let those =
        sqlx::query_scalar!("SELECT id FROM customers.customers WHERE id = ANY ($1) AND NOT order_updates", ids);
    those.fetch_all(conn).await
}

/// The newest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<KnownCustomer>> {
    if let Some(begins) = &filter.begins {
        return search(conn, filter, begins, before, limit).await;
    }
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, reference, name, email, phone, language, addresses, marketing, order_updates, consent_source, note,
                  attributes, erased_at AS "erased_at: Timestamp", created_at AS "created_at: Timestamp",
                  updated_at AS "updated_at: Timestamp"
           FROM customers.customers
           WHERE ($1::text IS NULL OR lower(email) = lower($1)) AND ($2::text IS NULL OR reference = $2)
             AND ($3::uuid IS NULL OR id < $3)
           ORDER BY id DESC LIMIT $4"#,
        filter.email,
        filter.reference,
        before,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(KnownCustomer::try_from).collect()
}

/// Those of whom something begins so. A statement of its own: its plan begins with the three indexes, in each of which
/// those are from the text to the text with the last character there is.
async fn search(
    conn: &mut PgConnection,
    filter: &Filter,
    begins: &str,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<KnownCustomer>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, reference, name, email, phone, language, addresses, marketing, order_updates, consent_source, note,
                  attributes, erased_at AS "erased_at: Timestamp", created_at AS "created_at: Timestamp",
                  updated_at AS "updated_at: Timestamp"
           FROM customers.customers
           WHERE (lower(name) COLLATE "C" BETWEEN lower($1) AND lower($1) || chr(1114111)
                  OR lower(email) COLLATE "C" BETWEEN lower($1) AND lower($1) || chr(1114111)
                  OR lower(reference) COLLATE "C" BETWEEN lower($1) AND lower($1) || chr(1114111))
             AND ($2::text IS NULL OR lower(email) = lower($2)) AND ($3::text IS NULL OR reference = $3)
             AND ($4::uuid IS NULL OR id < $4)
           ORDER BY id DESC LIMIT $5"#,
        begins,
        filter.email,
        filter.reference,
        before,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(KnownCustomer::try_from).collect()
}

/// Takes some who have not changed for so many days and were not looked at today, and notes that they are.
pub(super) async fn take_old(conn: &mut PgConnection, days: i32, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE customers.customers SET looked_at = clock_timestamp() WHERE id IN (
             SELECT id FROM customers.customers
             WHERE erased_at IS NULL AND updated_at < clock_timestamp() - make_interval(days => $1)
               AND (looked_at IS NULL OR looked_at < clock_timestamp() - interval '1 day')
             ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING id",
        days,
        limit
    )
    .fetch_all(conn)
    .await
}
