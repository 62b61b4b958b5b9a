//! Schema `orders`.

pub mod check;
pub mod goods;
pub mod payment;
pub mod personal;

use std::collections::HashMap;

use chrono::NaiveDate;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::change::OrderFields;
use super::model::{Customer, FulfilmentStatus, LineRecord, OrderHead, OrderStatus};
use super::pricing::Terms;
use super::{Draft, DraftLine};
use crate::inventory::Demand;
use crate::platform::clock::Timestamp;
use crate::platform::db::json::{from_json, to_json};
use crate::platform::db::text::{from_text, to_text};
use crate::platform::db::{Asked, Reads, Writes, add_read, add_write};
use crate::platform::money::Money;

pub(super) fn ask_the_time(reads: &mut Reads) -> Asked<Timestamp> {
    add_read!(reads, "SELECT clock_timestamp()", [], |row| row.get(0))
}

pub(super) async fn clock(conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
    let mut reads = Reads::default();
    let now = ask_the_time(&mut reads);
    reads.ask_all(conn).await?.of(&now)?.pop().ok_or(sqlx::Error::RowNotFound)
}

/// What to list.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub status: Option<OrderStatus>,
    pub fulfilment_status: Option<FulfilmentStatus>,
    /// Through any of these
    pub channels: Option<Vec<String>>,
    pub reference: Option<String>,
    pub customer_id: Option<Uuid>,
    pub sku: Option<String>,
}

struct OrderRow {
    id: Uuid,
    number: i64,
    status: String,
    payment_status: String,
    fulfilment_status: String,
    channel: Option<String>,
    reference: Option<String>,
    customer_id: Option<Uuid>,
    customer: Value,
    shipping_address: Option<Value>,
    shipping_price: Option<Value>,
    prices_include_tax: bool,
    ship_together: bool,
    note: Option<String>,
    reservation_id: Option<Uuid>,
    cancel_reason: Option<String>,
    held_for: Option<String>,
    placed_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<OrderRow> for OrderHead {
    type Error = sqlx::Error;

    fn try_from(row: OrderRow) -> sqlx::Result<Self> {
        Ok(OrderHead {
            id: row.id,
            number: row.number,
            status: from_text(&row.status)?,
            payment_status: from_text(&row.payment_status)?,
            fulfilment_status: from_text(&row.fulfilment_status)?,
            channel: row.channel,
            reference: row.reference,
            customer_id: row.customer_id,
            customer: from_json(row.customer)?,
            shipping_address: row.shipping_address.map(from_json).transpose()?,
            shipping_price: row.shipping_price.map(from_json).transpose()?,
            prices_include_tax: row.prices_include_tax,
            ship_together: row.ship_together,
            note: row.note,
            reservation_id: row.reservation_id,
            cancel_reason: row.cancel_reason,
            held_for: row.held_for,
            placed_at: row.placed_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// With the ids of the customers, of those who have one.
pub(super) async fn buyers(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, (Option<Uuid>, Customer)>> {
    let rows = sqlx::query!("SELECT id, customer_id, customer FROM orders.orders WHERE id = ANY ($1)", ids);
    let rows = rows.fetch_all(conn).await?;
    rows.into_iter().map(|row| Ok((row.id, (row.customer_id, from_json(row.customer)?)))).collect()
}

/// Writes the rows of new orders; returns them, in order.
pub(super) async fn insert(
    conn: &mut PgConnection,
    drafts: &[Draft<'_>],
    now: Timestamp,
) -> sqlx::Result<Vec<OrderHead>> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = drafts.iter().map(|draft| draft.order.order_id).collect();
    let text = |of: fn(&Draft) -> Option<String>| drafts.iter().map(of).collect::<Vec<Option<String>>>();
    let customers = drafts.iter().map(|draft| to_json(&draft.buyer.customer));
    let named: Vec<Option<Uuid>> = drafts.iter().map(|draft| draft.new.customer_id).collect();
    let addresses = drafts.iter().map(|draft| draft.buyer.shipping_address.as_ref().map(to_json).transpose());
    let shipping = drafts.iter().map(|draft| draft.new.shipping_price.as_ref().map(to_json).transpose());
    let include_tax: Vec<bool> = drafts.iter().map(|draft| draft.new.prices_include_tax).collect();
    let together: Vec<bool> = drafts.iter().map(|draft| draft.new.ship_together).collect();
    let reservations: Vec<Option<Uuid>> = drafts.iter().map(|draft| draft.new.reservation_id).collect();
    let placed: Vec<Timestamp> = drafts.iter().map(|draft| draft.order.placed_at).collect();
    let rows = sqlx::query_as!(
        OrderRow,
        r#"INSERT INTO orders.orders (id, status, channel, reference, customer, shipping_address, note, reservation_id,
                                      placed_at, shipping_price, prices_include_tax, customer_id, ship_together, created_at, updated_at)
           SELECT id, 'placed', channel, reference, customer, shipping_address, note, reservation_id, placed_at,
                  shipping_price, prices_include_tax, customer_id, ship_together, $12, $12
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[], $6::text[], $7::uuid[],
                       $8::timestamptz[], $9::jsonb[], $10::bool[], $11::uuid[], $13::bool[])
                WITH ORDINALITY
                AS o (id, channel, reference, customer, shipping_address, note, reservation_id, placed_at,
                      shipping_price, prices_include_tax, customer_id, ship_together, n) ORDER BY n
           RETURNING id, number, status, payment_status, fulfilment_status, channel, reference, customer_id,
                     customer, shipping_address, shipping_price, prices_include_tax, ship_together, note, reservation_id, cancel_reason, held_for,
                     placed_at AS "placed_at: Timestamp", created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp""#,
        &ids,
        &text(|draft| draft.channel.clone()) as &[Option<String>],
        &text(|draft| draft.new.reference.clone()) as &[Option<String>],
        &customers.collect::<sqlx::Result<Vec<Value>>>()?,
        &addresses.collect::<sqlx::Result<Vec<Option<Value>>>>()? as &[Option<Value>],
        &text(|draft| draft.new.note.clone()) as &[Option<String>],
        &reservations as &[Option<Uuid>],
        &placed as &[Timestamp],
        &shipping.collect::<sqlx::Result<Vec<Option<Value>>>>()? as &[Option<Value>],
        &include_tax,
        &named as &[Option<Uuid>],
        now as Timestamp,
        &together
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(OrderHead::try_from).collect()
}

/// Writes the lines of new orders, but for those of nothing; returns them, in order.
pub(super) fn insert_lines(writes: &mut Writes, drafts: &[Draft<'_>]) -> Vec<LineRecord> {
    let lines = drafts.iter().flat_map(|draft| {
        let lines = draft.lines.iter().zip(&draft.order.wish.demands).filter(|(_, demand)| demand.quantity > 0);
        lines.zip(1..).map(|((line, demand), n)| (draft.order.order_id, line, demand, n))
    });
    insert_numbered(writes, &lines.collect::<Vec<_>>())
}

/// Adds lines to an order after those that it has.
pub(super) async fn add_lines(
    conn: &mut PgConnection,
    order: Uuid,
    lines: &[(DraftLine, Demand)],
) -> sqlx::Result<Vec<LineRecord>> {
    let last = sqlx::query_scalar!("SELECT max(line) FROM orders.lines WHERE order_id = $1", order);
    let next = last.fetch_one(&mut *conn).await?.unwrap_or(0) + 1;
    let lines = lines.iter().zip(next..).map(|((line, demand), n)| (order, line, demand, n));
    let mut writes = Writes::default();
    let records = insert_numbered(&mut writes, &lines.collect::<Vec<_>>());
    writes.write_out(conn).await?;
    Ok(records)
}

fn insert_numbered(writes: &mut Writes, lines: &[(Uuid, &DraftLine, &Demand, i32)]) -> Vec<LineRecord> {
    if lines.is_empty() {
        return Vec::new();
    }
    let orders: Vec<Uuid> = lines.iter().map(|(order, ..)| *order).collect();
    let ids: Vec<Uuid> = lines.iter().map(|(_, line, ..)| line.id).collect();
    let skus: Vec<&str> = lines.iter().map(|(_, _, demand, _)| demand.sku.as_str()).collect();
    let quantities: Vec<i64> = lines.iter().map(|(_, _, demand, _)| demand.quantity).collect();
    let prices = || lines.iter().map(|(_, line, ..)| line.terms.unit_price.as_ref());
    let amounts: Vec<Option<i64>> = prices().map(|price| Some(price?.amount)).collect();
    let currencies: Vec<Option<&str>> = prices().map(|price| Some(price?.currency.as_str())).collect();
    let discounts: Vec<i64> = lines.iter().map(|(_, line, ..)| line.terms.discount).collect();
    let rates: Vec<i32> = lines.iter().map(|(_, line, ..)| line.terms.tax_rate).collect();
    let numbers: Vec<i32> = lines.iter().map(|(.., n)| *n).collect();
    let promised: Vec<Option<NaiveDate>> = lines.iter().map(|(_, line, ..)| line.promised_for).collect();
    add_write!(
        writes,
        "INSERT INTO orders.lines (order_id, id, sku, quantity, price_amount, price_currency, line, discount, tax_rate, promised_for)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::int[],
                              $8::bigint[], $9::int[], $10::date[])",
        &orders,
        &ids,
        &skus as &[&str],
        &quantities,
        &amounts as &[Option<i64>],
        &currencies as &[Option<&str>],
        &numbers,
        &discounts,
        &rates,
        &promised as &[Option<NaiveDate>]
    );
    let records = lines.iter().map(|(order_id, line, demand, _)| LineRecord {
        id: line.id,
        order_id: *order_id,
        sku: demand.sku.clone(),
        quantity: demand.quantity,
        terms: line.terms.clone(),
        shipped: 0,
        returned: 0,
        cancelled: 0,
        promised_for: line.promised_for,
    });
    records.collect()
}

/// False when there is no such order.
pub(super) async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!("SELECT id FROM orders.orders WHERE id = $1 FOR UPDATE", id);
    Ok(found.fetch_optional(conn).await?.is_some())
}

pub(super) async fn id_of_number(conn: &mut PgConnection, number: i64) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("SELECT id FROM orders.orders WHERE number = $1", number).fetch_optional(conn).await
}

pub(super) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<OrderHead>> {
    Ok(find_all(conn, &[id]).await?.pop())
}

pub(super) async fn find_all(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<OrderHead>> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT id, number, status, payment_status, fulfilment_status, channel, reference, customer_id, customer, shipping_address,
                  shipping_price, prices_include_tax, ship_together, note, reservation_id, cancel_reason, held_for, placed_at AS "placed_at: Timestamp",
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM orders.orders WHERE id = ANY ($1) ORDER BY id"#,
        ids
    );
    rows.fetch_all(conn).await?.into_iter().map(OrderHead::try_from).collect()
}

/// The newest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<OrderHead>> {
    if let Some(sku) = &filter.sku {
        return list_with_product(conn, filter, sku, before, limit).await;
    }
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT id, number, status, payment_status, fulfilment_status, channel, reference, customer_id, customer, shipping_address,
                  shipping_price, prices_include_tax, ship_together, note, reservation_id, cancel_reason, held_for, placed_at AS "placed_at: Timestamp",
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM orders.orders
           WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR fulfilment_status = $2)
             AND ($3::text[] IS NULL OR channel = ANY ($3)) AND ($4::text IS NULL OR reference = $4)
             AND ($5::uuid IS NULL OR id < $5) AND ($7::uuid IS NULL OR customer_id = $7)
           ORDER BY id DESC LIMIT $6"#,
        filter.status.map(to_text),
        filter.fulfilment_status.map(to_text),
        filter.channels.as_deref(),
        filter.reference,
        before,
        limit,
        filter.customer_id
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(OrderHead::try_from).collect()
}

/// Those with a line of a product. A statement of its own: its plan begins with the lines.
async fn list_with_product(
    conn: &mut PgConnection,
    filter: &Filter,
    sku: &str,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<OrderHead>> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT id, number, status, payment_status, fulfilment_status, channel, reference, customer_id, customer, shipping_address,
                  shipping_price, prices_include_tax, ship_together, note, reservation_id, cancel_reason, held_for, placed_at AS "placed_at: Timestamp",
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM orders.orders
           WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR fulfilment_status = $2)
             AND ($3::text[] IS NULL OR channel = ANY ($3)) AND ($4::text IS NULL OR reference = $4)
             AND id IN (SELECT order_id FROM orders.lines WHERE sku = $5)
             AND ($6::uuid IS NULL OR id < $6) AND ($8::uuid IS NULL OR customer_id = $8)
           ORDER BY id DESC LIMIT $7"#,
        filter.status.map(to_text),
        filter.fulfilment_status.map(to_text),
        filter.channels.as_deref(),
        filter.reference,
        sku,
        before,
        limit,
        filter.customer_id
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(OrderHead::try_from).collect()
}

pub(super) async fn lines_of(conn: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<LineRecord>> {
    let rows = sqlx::query!(
        "SELECT id, order_id, sku, quantity, price_amount, price_currency, discount, tax_rate, shipped, returned, cancelled,
                promised_for
         FROM orders.lines WHERE order_id = ANY ($1) ORDER BY order_id, line",
        orders
    )
    .fetch_all(conn)
    .await?;
    let lines = rows.into_iter().map(|row| LineRecord {
        id: row.id,
        order_id: row.order_id,
        sku: row.sku,
        quantity: row.quantity,
        terms: Terms {
            unit_price: Money::from_columns(row.price_amount, row.price_currency),
            discount: row.discount,
            tax_rate: row.tax_rate,
        },
        shipped: row.shipped,
        returned: row.returned,
        cancelled: row.cancelled,
        promised_for: row.promised_for,
    });
    Ok(lines.collect())
}

pub(super) async fn set_status(
    conn: &mut PgConnection,
    id: Uuid,
    status: OrderStatus,
    fulfilment: FulfilmentStatus,
    cancel_reason: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE orders.orders SET status = $2, fulfilment_status = $3, cancel_reason = coalesce($4, cancel_reason),
                updated_at = clock_timestamp()
         WHERE id = $1",
        id,
        to_text(status),
        to_text(fulfilment),
        cancel_reason
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn set_fields(conn: &mut PgConnection, id: Uuid, fields: &OrderFields) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE orders.orders SET customer = $2, shipping_address = $3, ship_together = $4, reference = $5, note = $6
         WHERE id = $1",
        id,
        to_json(&fields.customer)?,
        fields.shipping_address.as_ref().map(to_json).transpose()?,
        fields.ship_together,
        fields.reference,
        fields.note
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn set_promised_for(
    conn: &mut PgConnection,
    line: Uuid,
    promised_for: Option<NaiveDate>,
) -> sqlx::Result<()> {
    let set = sqlx::query!("UPDATE orders.lines SET promised_for = $2 WHERE id = $1", line, promised_for);
    set.execute(conn).await?;
    Ok(())
}

pub(super) async fn due(
    conn: &mut PgConnection,
    until: Timestamp,
    placed_before: Timestamp,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM orders.orders o
         WHERE status = 'placed' AND fulfilment_status IN ('unfulfilled', 'partially_fulfilled')
           AND ($3::uuid IS NULL OR id > $3)
           AND EXISTS (SELECT FROM orders.lines l WHERE l.order_id = o.id AND l.shipped + l.cancelled < l.quantity
                       AND CASE WHEN l.promised_for IS NULL THEN o.placed_at <= $2
                                ELSE (l.promised_for + 1)::timestamp AT TIME ZONE 'UTC' <= $1 END)
         ORDER BY id LIMIT $4",
        until as Timestamp,
        placed_before as Timestamp,
        after,
        limit
    )
    .fetch_all(conn)
    .await
}
