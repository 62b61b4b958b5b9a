//! Schema `payments`.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Filter, NewPayment, OperationState, Payment, PaymentOperation, PaymentState};
use super::standing::RunningOut;
use crate::orders::Paid;
use crate::platform::clock::Timestamp;
use crate::platform::db::text::{from_text, to_text};

struct Row {
    id: Uuid,
    order_id: Uuid,
    channel: Option<String>,
    provider: String,
    method: String,
    status: String,
    capture: String,
    currency: String,
    amount: i64,
    authorised: i64,
    captured: i64,
    refunded: i64,
    provider_reference: Option<String>,
    expires_at: Option<Timestamp>,
    last_error: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Payment {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            order_id: row.order_id,
            channel: row.channel,
            provider: from_text(&row.provider)?,
            method: row.method,
            status: from_text(&row.status)?,
            capture: from_text(&row.capture)?,
            currency: row.currency,
            amount: row.amount,
            authorised: row.authorised,
            captured: row.captured,
            refunded: row.refunded,
            provider_reference: row.provider_reference,
            expires_at: row.expires_at,
            last_error: row.last_error,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// What the shopper and the provider need of a payment, and nobody else.
#[derive(Debug)]
pub(super) struct Private {
    pub payment_method: Option<String>,
    pub client_secret: Option<String>,
}

pub(super) async fn insert(conn: &mut PgConnection, payment: &Payment, new: &NewPayment) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO payments.payments (id, order_id, channel, provider, method, status, capture, currency, amount,
                                        authorised, captured, payment_method)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        payment.id,
        payment.order_id,
        payment.channel,
        to_text(payment.provider),
        payment.method,
        to_text(payment.status),
        to_text(payment.capture),
        payment.currency,
        payment.amount,
        payment.authorised,
        payment.captured,
        new.payment_method
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Payment>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, channel, provider, method, status, capture, currency, amount, authorised, captured, refunded,
                  provider_reference, expires_at AS "expires_at: Timestamp", last_error,
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM payments.payments WHERE id = $1"#,
        id
    );
    row.fetch_optional(conn).await?.map(Payment::try_from).transpose()
}

pub(super) async fn private(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Private> {
    let sql = sqlx::query_as!(Private, "SELECT payment_method, client_secret FROM payments.payments WHERE id = $1", id);
    sql.fetch_one(conn).await
}

/// All of an order, the oldest first. Whoever changes one of them holds the order's row.
pub(super) async fn of_order(conn: &mut PgConnection, order: Uuid) -> sqlx::Result<Vec<Payment>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, channel, provider, method, status, capture, currency, amount, authorised, captured, refunded,
                  provider_reference, expires_at AS "expires_at: Timestamp", last_error,
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM payments.payments WHERE order_id = $1 ORDER BY id"#,
        order
    );
    rows.fetch_all(conn).await?.into_iter().map(Payment::try_from).collect()
}

/// The newest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Payment>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, channel, provider, method, status, capture, currency, amount, authorised, captured, refunded,
                  provider_reference, expires_at AS "expires_at: Timestamp", last_error,
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM payments.payments
           WHERE ($1::uuid IS NULL OR order_id = $1) AND ($2::text IS NULL OR status = $2)
             AND ($3::text IS NULL OR provider = $3) AND ($4::text[] IS NULL OR channel = ANY ($4))
             AND ($5::timestamptz IS NULL OR (status = 'authorised' AND expires_at < $5))
             AND ($6::uuid IS NULL OR id < $6)
           ORDER BY id DESC LIMIT $7"#,
        filter.order_id,
        filter.status.map(to_text),
        filter.provider.map(to_text),
        filter.channels.as_deref(),
        filter.expiring_before as Option<Timestamp>,
        after,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(Payment::try_from).collect()
}

/// Writes all of a payment that can change.
pub(super) async fn save(conn: &mut PgConnection, payment: &Payment) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payments.payments
         SET status = $2, authorised = $3, captured = $4, refunded = $5, expires_at = $6, last_error = $7,
             updated_at = clock_timestamp(), looked_at = clock_timestamp()
         WHERE id = $1",
        payment.id,
        to_text(payment.status),
        payment.authorised,
        payment.captured,
        payment.refunded,
        payment.expires_at as Option<Timestamp>,
        payment.last_error
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a provider calls a payment. The first name stays.
pub(super) async fn set_reference(
    conn: &mut PgConnection,
    id: Uuid,
    reference: &str,
    client_secret: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payments.payments
         SET provider_reference = $2, client_secret = $3, updated_at = clock_timestamp(), looked_at = clock_timestamp()
         WHERE id = $1 AND provider_reference IS NULL",
        id,
        reference,
        client_secret
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn by_reference(
    conn: &mut PgConnection,
    provider: &str,
    reference: &str,
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM payments.payments WHERE provider = $1 AND provider_reference = $2",
        provider,
        reference
    )
    .fetch_optional(conn)
    .await
}

/// Those that a provider has had time to change without telling, the longest unasked first; they count as asked then.
pub(super) async fn take_unwatched(conn: &mut PgConnection, seconds: f64, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE payments.payments SET looked_at = clock_timestamp()
         WHERE id IN (SELECT id FROM payments.payments
                      WHERE status IN ('pending', 'authorised') AND provider_reference IS NOT NULL
                        AND looked_at < clock_timestamp() - make_interval(secs => $1)
                      ORDER BY looked_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING id",
        seconds,
        limit
    )
    .fetch_all(conn)
    .await
}

struct OperationRow {
    id: Uuid,
    kind: String,
    amount: i64,
    status: String,
    reason: Option<String>,
    provider_reference: Option<String>,
    error: Option<String>,
    attempts: i32,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl TryFrom<OperationRow> for PaymentOperation {
    type Error = sqlx::Error;

    fn try_from(row: OperationRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            kind: from_text(&row.kind)?,
            amount: row.amount,
            status: from_text(&row.status)?,
            reason: row.reason,
            provider_reference: row.provider_reference,
            error: row.error,
            attempts: row.attempts,
            created_at: row.created_at,
            ended_at: row.ended_at,
        })
    }
}

/// The oldest first.
pub(super) async fn operations_of(conn: &mut PgConnection, payment: Uuid) -> sqlx::Result<Vec<PaymentOperation>> {
    let rows = sqlx::query_as!(
        OperationRow,
        r#"SELECT id, kind, amount, status, reason, provider_reference, error, attempts,
                  created_at AS "created_at: Timestamp", ended_at AS "ended_at: Timestamp"
           FROM payments.operations WHERE payment_id = $1 ORDER BY id"#,
        payment
    );
    rows.fetch_all(conn).await?.into_iter().map(PaymentOperation::try_from).collect()
}

/// What is under way of a payment.
pub(super) async fn pending_of(conn: &mut PgConnection, payment: Uuid) -> sqlx::Result<Option<PaymentOperation>> {
    let row = sqlx::query_as!(
        OperationRow,
        r#"SELECT id, kind, amount, status, reason, provider_reference, error, attempts,
                  created_at AS "created_at: Timestamp", ended_at AS "ended_at: Timestamp"
           FROM payments.operations WHERE payment_id = $1 AND status = 'pending'"#,
        payment
    );
    row.fetch_optional(conn).await?.map(PaymentOperation::try_from).transpose()
}

/// Whether a provider was asked for something of an order's payments; one that waits for the shopper counts.
pub(super) async fn is_under_way(conn: &mut PgConnection, order: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM payments.operations o JOIN payments.payments p ON p.id = o.payment_id
                          WHERE p.order_id = $1 AND o.status = 'pending') AS "is!""#,
        order
    )
    .fetch_one(conn)
    .await
}

/// One that is pending has no end yet.
pub(super) async fn insert_operation(
    conn: &mut PgConnection,
    payment: Uuid,
    operation: &PaymentOperation,
) -> sqlx::Result<()> {
    let is_pending = operation.status == OperationState::Pending;
    sqlx::query!(
        "INSERT INTO payments.operations (id, payment_id, kind, amount, status, reason, ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN NULL ELSE clock_timestamp() END)",
        operation.id,
        payment,
        to_text(operation.kind),
        operation.amount,
        to_text(operation.status),
        operation.reason,
        is_pending
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn note_attempt(conn: &mut PgConnection, id: Uuid, attempt: i32) -> sqlx::Result<()> {
    sqlx::query!("UPDATE payments.operations SET attempts = greatest(attempts, $2) WHERE id = $1", id, attempt)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn note_error(conn: &mut PgConnection, id: Uuid, error: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE payments.operations SET error = $2 WHERE id = $1 AND status = 'pending'", id, error)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn end_operation(conn: &mut PgConnection, operation: &PaymentOperation) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payments.operations
         SET status = $2, amount = $3, provider_reference = $4, error = $5, ended_at = clock_timestamp() WHERE id = $1",
        operation.id,
        to_text(operation.status),
        operation.amount,
        operation.provider_reference,
        operation.error
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a message is new.
pub(super) async fn note_message(conn: &mut PgConnection, provider: &str, id: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO payments.messages (provider, id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        provider,
        id
    );
    Ok(done.execute(conn).await?.rows_affected() == 1)
}

/// Whether there may be more.
pub(super) async fn forget_messages(conn: &mut PgConnection, days: i32, limit: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM payments.messages WHERE (provider, id) IN (
           SELECT provider, id FROM payments.messages WHERE received_at < clock_timestamp() - make_interval(days => $1)
           ORDER BY received_at LIMIT $2)",
        days,
        limit
    );
    Ok(i64::try_from(done.execute(conn).await?.rows_affected()).is_ok_and(|n| n == limit))
}

/// What the payments of each order come to.
pub(super) async fn paid_of_all(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<Uuid, Paid>> {
    let rows = sqlx::query!(
        r#"SELECT order_id, sum(authorised)::bigint AS "authorised!", sum(captured)::bigint AS "captured!",
                  sum(refunded)::bigint AS "refunded!", (array_agg(status ORDER BY id DESC))[1] AS "newest!"
           FROM payments.payments GROUP BY order_id"#
    );
    let paid = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let newest: PaymentState = from_text(&row.newest)?;
        let (authorised, captured, refunded) = (row.authorised, row.captured, row.refunded);
        Ok((row.order_id, Paid { authorised, captured, refunded, failed: newest.is_failure() }))
    });
    paid.collect()
}

/// A payment whose amounts are not the sums of its operations.
#[derive(Debug)]
pub(super) struct Unequal {
    pub id: Uuid,
    pub captured: i64,
    pub refunded: i64,
    pub said_captured: i64,
    pub said_refunded: i64,
}

pub(super) async fn unequal(conn: &mut PgConnection) -> sqlx::Result<Vec<Unequal>> {
    sqlx::query_as!(
        Unequal,
        r#"SELECT p.id, p.captured, p.refunded, coalesce(o.captured, 0) AS "said_captured!", coalesce(o.refunded, 0) AS "said_refunded!"
           FROM payments.payments p
           LEFT JOIN (SELECT payment_id, (sum(amount) FILTER (WHERE kind = 'capture'))::bigint AS captured,
                             (sum(amount) FILTER (WHERE kind = 'refund'))::bigint AS refunded
                      FROM payments.operations WHERE status = 'succeeded' GROUP BY payment_id) o ON o.payment_id = p.id
           WHERE p.captured <> coalesce(o.captured, 0) OR p.refunded <> coalesce(o.refunded, 0) ORDER BY p.id"#
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn running_out(
    conn: &mut PgConnection,
    until: Timestamp,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT order_id FROM payments.payments
         WHERE status = 'authorised' AND expires_at <= $1 AND ($2::uuid IS NULL OR order_id > $2)
         ORDER BY order_id LIMIT $3",
        until as Timestamp,
        after,
        limit
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn running_out_of(
    conn: &mut PgConnection,
    until: Timestamp,
    orders: &[Uuid],
) -> sqlx::Result<Vec<RunningOut>> {
    sqlx::query_as!(
        RunningOut,
        r#"SELECT id AS payment_id, order_id, authorised AS amount, currency, expires_at AS "expires_at!: Timestamp"
           FROM payments.payments
           WHERE status = 'authorised' AND expires_at <= $1 AND order_id = ANY ($2) ORDER BY id"#,
        until as Timestamp,
        orders
    )
    .fetch_all(conn)
    .await
}
