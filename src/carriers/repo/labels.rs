//! Labels, and the rates that they are bought at.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::carriers::model::label::{KeptRate, Label, LabelFilter, LabelStatus};
use crate::carriers::provider::Bought;
use crate::platform::clock::Timestamp;
use crate::platform::db::json::{from_json, to_json};
use crate::platform::db::text::{from_text, to_text};
use crate::platform::money::Money;

struct Row {
    id: Uuid,
    order_id: Uuid,
    order_number: i64,
    channel: Option<String>,
    warehouse: String,
    provider: String,
    status: String,
    carrier: String,
    service: Option<String>,
    tracking_number: Option<String>,
    cost_amount: Option<i64>,
    cost_currency: Option<String>,
    parcel: Option<serde_json::Value>,
    shipment_reference: Option<String>,
    last_error: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Label {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            order_id: row.order_id,
            order_number: row.order_number,
            channel: row.channel,
            warehouse: row.warehouse,
            provider: from_text(&row.provider)?,
            status: from_text(&row.status)?,
            carrier: row.carrier,
            service: row.service,
            tracking_number: row.tracking_number,
            cost: Money::from_columns(row.cost_amount, row.cost_currency),
            parcel: row.parcel.map(from_json).transpose()?,
            provider_reference: row.shipment_reference,
            last_error: row.last_error,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// `rate_reference`: what the provider calls the price that it is bought at. Of one to be bought, there is news to look for.
pub async fn insert(
    conn: &mut PgConnection,
    label: &Label,
    customer: Option<Uuid>,
    rate_reference: Option<&str>,
) -> sqlx::Result<()> {
    let parcel = label.parcel.as_ref().map(to_json).transpose()?;
    sqlx::query!(
        "INSERT INTO carriers.labels (id, order_id, order_number, channel, customer_id, warehouse, provider, status, carrier,
                                      service, tracking_number, cost_amount, cost_currency, parcel, shipment_reference,
                                      rate_reference)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        label.id,
        label.order_id,
        label.order_number,
        label.channel,
        customer,
        label.warehouse,
        to_text(label.provider),
        to_text(label.status),
        label.carrier,
        label.service,
        label.tracking_number,
        label.cost.as_ref().map(|cost| cost.amount),
        label.cost.as_ref().map(|cost| cost.currency.as_str()),
        parcel,
        label.provider_reference,
        rate_reference
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Label>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, order_number, channel, warehouse, provider, status, carrier, service, tracking_number,
                  cost_amount, cost_currency, parcel, shipment_reference, last_error,
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM carriers.labels WHERE id = $1"#,
        id
    );
    row.fetch_optional(conn).await?.map(Label::try_from).transpose()
}

/// The newest first.
pub async fn list(
    conn: &mut PgConnection,
    filter: &LabelFilter,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Label>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, order_number, channel, warehouse, provider, status, carrier, service, tracking_number,
                  cost_amount, cost_currency, parcel, shipment_reference, last_error,
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM carriers.labels
           WHERE ($1::uuid IS NULL OR order_id = $1) AND ($2::text IS NULL OR status = $2)
             AND ($3::text[] IS NULL OR warehouse = ANY ($3)) AND ($4::text[] IS NULL OR channel = ANY ($4))
             AND ($5::uuid IS NULL OR id < $5)
           ORDER BY id DESC LIMIT $6"#,
        filter.order_id,
        filter.status.map(to_text),
        filter.warehouses.as_deref(),
        filter.channels.as_deref(),
        after,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(Label::try_from).collect()
}

/// What the provider calls the price at which a label is bought.
pub async fn rate_of(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT rate_reference FROM carriers.labels WHERE id = $1", id).fetch_one(conn).await
}

/// The label of a provider's shipment; one that failed is none.
pub async fn of_shipment(conn: &mut PgConnection, shipment: &str) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("SELECT id FROM carriers.labels WHERE shipment_reference = $1 AND status <> 'failed'", shipment)
        .fetch_optional(conn)
        .await
}

pub async fn set_status(
    conn: &mut PgConnection,
    id: Uuid,
    status: LabelStatus,
    error: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE carriers.labels
         SET status = $2, last_error = $3, updated_at = clock_timestamp(),
             looked_at = CASE WHEN $2 IN ('failed', 'voided') THEN NULL ELSE looked_at END,
             pdf = CASE WHEN $2 = 'voided' THEN NULL ELSE pdf END
         WHERE id = $1",
        id,
        to_text(status),
        error
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Of an attempt that failed, while the label waits for another.
pub async fn note_error(conn: &mut PgConnection, id: Uuid, error: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE carriers.labels SET last_error = $2, updated_at = clock_timestamp()
         WHERE id = $1 AND status IN ('buying', 'voiding')",
        id,
        error
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// From now on, its provider is asked now and then where it is.
pub async fn set_bought(conn: &mut PgConnection, id: Uuid, bought: &Bought, pdf: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE carriers.labels
         SET status = 'bought', carrier = $2, service = $3, tracking_number = $4,
             cost_amount = coalesce($5, cost_amount), cost_currency = coalesce($6, cost_currency), pdf = $7,
             last_error = NULL, updated_at = clock_timestamp(), looked_at = clock_timestamp()
         WHERE id = $1",
        id,
        bought.carrier,
        bought.service,
        bought.tracking_number,
        bought.cost.as_ref().map(|cost| cost.amount),
        bought.cost.as_ref().map(|cost| cost.currency.as_str()),
        pdf
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn pdf(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("SELECT pdf FROM carriers.labels WHERE id = $1", id).fetch_one(conn).await
}

/// Its provider is not asked any more.
pub async fn stop_looking(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("UPDATE carriers.labels SET looked_at = NULL WHERE id = $1", id).execute(conn).await?;
    Ok(())
}

/// Those of which there may be news, the longest unasked first; they count as asked then.
pub async fn take_unwatched(conn: &mut PgConnection, seconds: f64, days: i32, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE carriers.labels SET looked_at = CASE WHEN created_at < clock_timestamp() - make_interval(days => $2) THEN NULL
                                                     ELSE clock_timestamp() END
         WHERE id IN (SELECT id FROM carriers.labels WHERE looked_at < clock_timestamp() - make_interval(secs => $1)
                      ORDER BY looked_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING id",
        seconds,
        days,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Keeps rates, and forgets some that are older than so many days.
pub async fn insert_rates(conn: &mut PgConnection, rates: &[KeptRate], days: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM carriers.rates
         WHERE id IN (SELECT id FROM carriers.rates WHERE created_at < clock_timestamp() - make_interval(days => $1)
                      ORDER BY created_at LIMIT 500 FOR UPDATE SKIP LOCKED)",
        days
    )
    .execute(&mut *conn)
    .await?;
    for rate in rates {
        sqlx::query!(
            "INSERT INTO carriers.rates (id, order_id, warehouse, shipment_reference, rate_reference, carrier, service,
                                         price_amount, price_currency, delivery_days, parcel)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            rate.id,
            rate.order_id,
            rate.warehouse,
            rate.shipment_reference,
            rate.rate_reference,
            rate.carrier,
            rate.service,
            rate.price.amount,
            rate.price.currency,
            rate.delivery_days,
            to_json(&rate.parcel)?
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

pub async fn find_rate(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<KeptRate>> {
    let row = sqlx::query!(
        "SELECT id, order_id, warehouse, shipment_reference, rate_reference, carrier, service, price_amount, price_currency,
                delivery_days, parcel
         FROM carriers.rates WHERE id = $1",
        id
    );
    let Some(row) = row.fetch_optional(conn).await? else { return Ok(None) };
    Ok(Some(KeptRate {
        id: row.id,
        order_id: row.order_id,
        warehouse: row.warehouse,
        shipment_reference: row.shipment_reference,
        rate_reference: row.rate_reference,
        carrier: row.carrier,
        service: row.service,
        price: Money { amount: row.price_amount, currency: row.price_currency },
        delivery_days: row.delivery_days,
        parcel: from_json(row.parcel)?,
    }))
}

/// False: it came before.
pub async fn note_message(conn: &mut PgConnection, provider: &str, id: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO carriers.messages (provider, id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        provider,
        id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Says whether there may be more.
pub async fn forget_messages(conn: &mut PgConnection, days: i32, limit: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM carriers.messages
         WHERE (provider, id) IN (SELECT provider, id FROM carriers.messages
                                  WHERE received_at < clock_timestamp() - make_interval(days => $1)
                                  ORDER BY received_at LIMIT $2)",
        days,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == limit.unsigned_abs())
}

/// All labels for parcels of a customer, the oldest first.
pub async fn of_customer(conn: &mut PgConnection, customer: Uuid) -> sqlx::Result<Vec<Label>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, order_number, channel, warehouse, provider, status, carrier, service, tracking_number,
                  cost_amount, cost_currency, parcel, shipment_reference, last_error,
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM carriers.labels WHERE customer_id = $1 ORDER BY id"#,
        customer
    );
    rows.fetch_all(conn).await?.into_iter().map(Label::try_from).collect()
}

/// What a label cost stays, and neither its picture nor its number; nobody asks any more where it is.
pub async fn erase(conn: &mut PgConnection, customer: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE carriers.labels
         SET pdf = NULL, tracking_number = NULL, last_error = NULL, updated_at = clock_timestamp(),
             looked_at = CASE WHEN status = 'voiding' THEN looked_at END
         WHERE customer_id = $1",
        customer
    )
    .execute(conn)
    .await?;
    Ok(())
}
