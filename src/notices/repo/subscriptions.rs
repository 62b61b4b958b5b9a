//! Who waits for a product.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::notices::model::{NewSubscription, Subscription, Waiting};
use crate::platform::clock::Timestamp;

/// Adds one, unless the address waits for the product already: says whether it did.
pub async fn insert(conn: &mut PgConnection, id: Uuid, sku: &str, new: &NewSubscription) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO notices.subscriptions (id, sku, email, channel, quantity) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (sku, lower(email)) WHERE status = 'waiting' DO NOTHING",
        id,
        sku,
        new.email,
        new.channel,
        new.quantity.0
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The one with which an address waits for a product.
pub async fn of_address(conn: &mut PgConnection, sku: &str, email: &str) -> sqlx::Result<Option<Subscription>> {
    sqlx::query_as!(
        Subscription,
        r#"SELECT id, sku, email AS "email?", channel, quantity, status, created_at AS "created_at: Timestamp",
                  ended_at AS "ended_at: Timestamp", seq
           FROM notices.subscriptions WHERE sku = $1 AND lower(email) = lower($2) AND status = 'waiting'"#,
        sku,
        email
    )
    .fetch_optional(conn)
    .await
}

/// How many wait for a product, counted no further than a limit.
pub async fn count(conn: &mut PgConnection, sku: &str, limit: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
             SELECT FROM notices.subscriptions WHERE sku = $1 AND status = 'waiting' LIMIT $2) those"#,
        sku,
        limit
    )
    .fetch_one(conn)
    .await
}

/// In the order in which they are served.
pub async fn list(
    conn: &mut PgConnection,
    sku: &str,
    status: Option<&str>,
    after: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Subscription>> {
    sqlx::query_as!(
        Subscription,
        r#"SELECT id, sku, email AS "email?", channel, quantity, status, created_at AS "created_at: Timestamp",
                  ended_at AS "ended_at: Timestamp", seq
           FROM notices.subscriptions
           WHERE sku = $1 AND ($2::text IS NULL OR status = $2) AND ($3::bigint IS NULL OR seq > $3)
           ORDER BY seq LIMIT $4"#,
        sku,
        status,
        after,
        limit
    )
    .fetch_all(conn)
    .await
}

pub async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Subscription>> {
    sqlx::query_as!(
        Subscription,
        r#"SELECT id, sku, email AS "email?", channel, quantity, status, created_at AS "created_at: Timestamp",
                  ended_at AS "ended_at: Timestamp", seq
           FROM notices.subscriptions WHERE id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await
}

/// All under one address, the oldest first.
pub async fn by_email(conn: &mut PgConnection, email: &str) -> sqlx::Result<Vec<Subscription>> {
    sqlx::query_as!(
        Subscription,
        r#"SELECT id, sku, email AS "email?", channel, quantity, status, created_at AS "created_at: Timestamp",
                  ended_at AS "ended_at: Timestamp", seq
           FROM notices.subscriptions WHERE lower(email) = lower($1) ORDER BY seq"#,
        email
    )
    .fetch_all(conn)
    .await
}

pub async fn delete_by_email(conn: &mut PgConnection, email: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM notices.subscriptions WHERE lower(email) = lower($1)", email).execute(conn).await?;
    Ok(())
}

pub async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Subscription>> {
    sqlx::query_as!(
        Subscription,
        r#"SELECT id, sku, email AS "email?", channel, quantity, status, created_at AS "created_at: Timestamp",
                  ended_at AS "ended_at: Timestamp", seq
           FROM notices.subscriptions WHERE id = $1 FOR UPDATE"#,
        id
    )
    .fetch_optional(conn)
    .await
}

pub async fn delete(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM notices.subscriptions WHERE id = $1", id).execute(conn).await?;
    Ok(())
}

pub async fn delete_of_products(conn: &mut PgConnection, skus: &[String]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM notices.subscriptions WHERE sku = ANY ($1)", skus).execute(conn).await?;
    Ok(())
}

/// Those of the products that somebody waits for, or was told of.
pub async fn waited_for(conn: &mut PgConnection, skus: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT sku AS "sku!" FROM unnest($1::text[]) AS wanted (sku)
           WHERE EXISTS (SELECT FROM notices.subscriptions s WHERE s.sku = wanted.sku AND s.status = 'waiting')
              OR EXISTS (SELECT FROM notices.promises p WHERE p.sku = wanted.sku)"#,
        skus
    )
    .fetch_all(conn)
    .await
}

/// All products that somebody waits for.
pub async fn all_waited_for(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT DISTINCT sku FROM notices.subscriptions WHERE status = 'waiting' ORDER BY sku")
        .fetch_all(conn)
        .await
}

/// All products that somebody waits for, or was told of.
pub async fn all_skus(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT DISTINCT sku FROM notices.subscriptions ORDER BY sku").fetch_all(conn).await
}

/// Those who wait for a product, the oldest first; nobody else changes them meanwhile.
pub async fn lock_waiting(conn: &mut PgConnection, sku: &str, limit: i64) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        "SELECT id, email, channel, quantity FROM notices.subscriptions
         WHERE sku = $1 AND status = 'waiting' ORDER BY seq LIMIT $2 FOR UPDATE",
        sku,
        limit
    )
    .fetch_all(conn)
    .await
}

pub async fn notified(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE notices.subscriptions SET status = 'notified', ended_at = clock_timestamp() WHERE id = ANY ($1)",
        ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How much of a product is promised to those who were told of it within so many hours.
pub async fn promised(conn: &mut PgConnection, sku: &str, hours: i32) -> sqlx::Result<i64> {
    let found = sqlx::query_scalar!(
        "SELECT quantity FROM notices.promises
         WHERE sku = $1 AND told_at > clock_timestamp() - make_interval(hours => $2)",
        sku,
        hours
    );
    Ok(found.fetch_optional(conn).await?.unwrap_or(0))
}

/// Writes down how much is promised: to more than before, or to fewer.
pub async fn promise(conn: &mut PgConnection, sku: &str, quantity: i64, is_more: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO notices.promises AS p (sku, quantity, told_at) VALUES ($1, $2, clock_timestamp())
         ON CONFLICT (sku) DO UPDATE SET quantity = excluded.quantity,
             told_at = CASE WHEN $3 THEN excluded.told_at ELSE p.told_at END",
        sku,
        quantity,
        is_more
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn forget_promises(conn: &mut PgConnection, hours: i32) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM notices.promises WHERE told_at < clock_timestamp() - make_interval(hours => $1)", hours)
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn forget(conn: &mut PgConnection, days: i32, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM notices.subscriptions WHERE id IN (
             SELECT id FROM notices.subscriptions WHERE ended_at < clock_timestamp() - make_interval(days => $1)
             ORDER BY ended_at LIMIT $2)",
        days,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
